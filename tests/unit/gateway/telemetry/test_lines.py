"""Logs on descriptors that are full, closed or read by nobody."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry.lines import LineWriter
from gateway.telemetry.log import JsonFormatter, LineHandler
from tests.support.waiting import wait_for

SMALLEST_PIPE = 4096


def notice(lines: int, reason: str) -> str:
    return f"lost {lines}: {reason}"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def read_lines(end: int, last: str) -> list[str]:
    """Reads until a line comes that starts with ``last``."""
    data = b""
    while not data.endswith(b"\n") or not data.splitlines()[-1].startswith(last.encode()):
        more = os.read(end, 65536)
        assert more
        data += more
    return data.decode().splitlines()


def test_a_full_device_loses_lines_and_says_so_later(tmp_path: Path) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    good = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    lines = LineWriter(descriptor, notice)
    for number in range(5):
        lines.write(f"lost {number}")
    assert lines.lost == 5
    os.dup2(good, descriptor)
    lines.write("first")
    lines.write("second")
    expected = ["lost 5: No space left on device", "first", "second"]
    assert (tmp_path / "log").read_text().splitlines() == expected
    assert lines.lost == 5
    os.close(descriptor)
    os.close(good)


def test_a_reader_who_left_is_no_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    lines = LineWriter(pipe[1], notice)
    for _ in range(1000):
        lines.write("x")
    assert lines.lost == 1000


def test_a_closed_descriptor_is_no_error() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    lines = LineWriter(descriptor, notice)
    os.close(descriptor)
    lines.write("x")
    assert lines.lost == 1


@pytest.mark.parametrize("length", [10, 5000, 100_000])
def test_a_reader_who_stopped_holds_up_nobody(pipe: tuple[int, int], length: int) -> None:
    lines = LineWriter(pipe[1], notice, waiting_bytes=300_000)
    written = max(20, 600_000 // length)
    for number in range(written):
        lines.write(f"{number:06} {'x' * length}")
    assert 0 < lines.lost < written
    lost = lines.lost
    found = read_lines(pipe[0], "lost")
    kept = [line for line in found if not line.startswith("lost")]
    assert found[-1] == f"lost {lost}: its reader does not keep up"
    assert len(kept) == written - lost
    assert kept == [f"{number:06} {'x' * length}" for number in range(written - lost)]
    wait_for(lambda: lines._drainer is None)
    lines.write("again")
    assert read_lines(pipe[0], "again") == ["again"]
    assert lines.lost == lost


def test_what_is_kept_is_given_to_a_slow_reader_at_the_end(pipe: tuple[int, int]) -> None:
    lines = LineWriter(pipe[1], notice)
    for number in range(2000):
        lines.write(f"{number} {'x' * 20}")
    lines.close(0.01)  # nobody reads: it gives up
    assert len(read_lines(pipe[0], "1999")) == 2000
    lines.close(60)
    assert lines.lost == 0


def test_a_line_that_was_cut_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    code = """
    import resource, sys
    from gateway.telemetry.lines import LineWriter
    lines = LineWriter(1, lambda lost, reason: f"lost {lost}")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    lines.write("a" * 79)
    lines.write("b" * 79)
    lines.write("c" * 79)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    lines.write("d" * 79)
    assert lines.lost == 2
    """
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], stdout=log, check=True)
    found = (tmp_path / "log").read_text().splitlines()
    assert found == ["a" * 79, "b" * 20, "lost 2", "d" * 79]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("surrogate \ud800", ()),
        ("%d of %s", ("not a number",)),
        ("%s", (type("Broken", (), {"__str__": lambda self: 1 / 0})(),)),
        ("large", ({"extra": 2**200},)),
    ],
)
def test_no_record_is_an_error(tmp_path: Path, message: str, arguments: tuple[object, ...]) -> None:
    with (tmp_path / "log").open("wb") as log:
        handler = LineHandler(log.fileno())
        handler.setFormatter(JsonFormatter())
        record = logging.LogRecord("x", logging.INFO, "", 1, message, arguments, None)
        handler.emit(record)
        handler.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["message"] in (message, "a record cannot be written")
    assert "not a number" not in line


@pytest.fixture
def log(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


class _Writes(list[bytes]):
    """What `os.write` was called with, on one descriptor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
        super().__init__()
        write = os.write

        def counted(target: int, data: bytes) -> int:
            if target == descriptor:
                self.append(bytes(data))
            return write(target, data)

        monkeypatch.setattr(os, "write", counted)


def record(level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord("x", level, "", 1, message, (), None)


def handler_of(descriptor: int) -> LineHandler:
    handler = LineHandler(descriptor)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


async def test_lines_of_one_moment_are_written_together(
    log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, handler = _Writes(monkeypatch, log), handler_of(log)
    for number in range(20):
        handler.handle(record(logging.INFO, str(number)))
    assert writes == []
    await asyncio.sleep(0.05)
    assert writes == ["".join(f"{number}\n" for number in range(20)).encode()]
    handler.handle(record(logging.INFO, "later"))
    await asyncio.sleep(0.05)
    assert writes[1:] == [b"later\n"]
    handler.close()


async def test_a_warning_is_written_at_once_and_in_its_place(
    log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, handler = _Writes(monkeypatch, log), handler_of(log)
    handler.handle(record(logging.INFO, "before"))
    handler.handle(record(logging.WARNING, "warning"))
    assert writes == [b"before\nwarning\n"]
    handler.handle(record(logging.INFO, "after"))
    handler.close()
    assert writes[1:] == [b"after\n"]
    await asyncio.sleep(0.05)
    assert len(writes) == 2


async def test_a_line_of_a_thread_does_not_pass_those_that_wait(pipe: tuple[int, int]) -> None:
    handler = handler_of(pipe[1])
    handler.handle(record(logging.INFO, "loop"))
    await asyncio.to_thread(handler.handle, record(logging.INFO, "thread"))
    assert read_lines(pipe[0], "thread") == ["loop", "thread"]
    handler.close()


async def test_lines_that_are_lost_together_are_counted_one_by_one() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    handler = handler_of(descriptor)
    for number in range(7):
        handler.handle(record(logging.INFO, str(number)))
    handler.flush()
    assert handler.lost == 7
    handler.close()
    os.close(descriptor)
