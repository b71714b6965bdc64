"""What a person at a terminal is shown of the log, and what goes to the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from launcher import logs
from launcher.logs import LogFile, LogStream, matters
from launcher.readiness import progress


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "INFO", "message": "request"}', False),
        ('{"level": "WARNING", "message": "slow"}', True),
        ('{"level": "ERROR", "message": "down"}', True),
        ("[1]", False),
        ("{broken", False),
        ('2026-12-01T03:11:26Z I 21837 http_server.cc:362] "Started"', False),
        ('2026-12-01T03:11:26Z W 21837 python_be.cc:10] "odd"', True),
        ('2026-12-01T03:11:26Z E 21837 model.cc:10] "failed to load"', True),
        ('2026-12-01T03:11:26Z W 21837 metrics.cc:798] "DCGM unable to start: error"', False),
        ("Error: Failed to initialize NVML", False),
        ("Traceback (most recent call last):", True),
        ("ValueError: no such model", True),
        ("warning: other users can read the keys", True),
        ("Triton answers at unix:/x (gRPC)", False),
    ],
)
def test_what_matters(line: str, shown: bool) -> None:
    assert matters(line) is shown


def test_the_terminal_gets_warnings_in_words_and_the_file_everything(tmp_path: Path) -> None:
    read, write = os.pipe()
    file = LogFile(tmp_path / "log" / "pentad.log")
    stream = LogStream(write, "hush", file)
    stream.write("gateway", '{"level": "INFO", "message": "request hush"}')
    stream.write("gateway", '{"level": "WARNING", "logger": "x", "message": "slow %s", "ms": 9}')
    stream.show("table")
    stream.close(5)
    os.close(write)
    with os.fdopen(read) as shown:
        assert shown.read() == "[gateway] WARNING slow %s ms=9\ntable\n"
    kept = file.path.read_text().splitlines()
    assert [json.loads(line)["message"] for line in kept] == ["request ***", "slow %s"]
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_progress_stays_on_its_line_until_something_else_is_shown(tmp_path: Path) -> None:
    read, write = os.pipe()
    stream = LogStream(write, file=LogFile(tmp_path / "x.log"))
    back = "\x1b[1A\r\x1b[2K"
    stream.progress("1 of 3")
    stream.progress("2 of 3")
    stream.write("triton", "Traceback (most recent call last):")
    stream.progress("3 of 3")
    stream.close(5)
    os.close(write)
    with os.fdopen(read, newline="") as shown:
        assert (
            shown.read()
            == f"1 of 3\n{back}2 of 3\n[triton] Traceback (most recent call last):\n3 of 3\n"
        )


def test_without_a_file_there_is_no_progress(tmp_path: Path) -> None:
    read, write = os.pipe()
    stream = LogStream(write)
    stream.progress("1 of 3")
    stream.write("gateway", '{"level": "INFO"}')
    stream.close(5)
    os.close(write)
    with os.fdopen(read) as shown:
        assert shown.read() == '{"source": "gateway", "level": "INFO"}\n'


def test_the_file_is_bounded_and_a_full_disk_costs_lines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LARGEST", 1000)
    file = LogFile(tmp_path / "pentad.log")
    for number in range(200):
        file.write(f"{number} " + "x" * 90)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["pentad.log", "pentad.log.1", "pentad.log.2", "pentad.log.3"]
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    file.close()
    full = LogFile(Path("/dev/full"))
    full.write("x" * 10_000)
    assert full.lost == 1


def test_models_are_counted() -> None:
    models = [{"state": "ready"}, {"state": "loading"}]
    assert progress({"services": {"text": {"models": models}, "tryon": {}}}) == "1 of 2 ready"


def test_a_file_that_cannot_be_written_is_said_once() -> None:
    read, write = os.pipe()
    stream = LogStream(write, file=LogFile(Path("/dev/full")))
    for _ in range(3):
        stream.write("gateway", "x" * 10_000)
    stream.close(5)
    os.close(write)
    with os.fdopen(read) as shown:
        assert shown.read() == "warning: lines of /dev/full are lost: it cannot be written\n"
