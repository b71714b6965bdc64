"""What a set-up shows to a person: a line per step, on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements"
PROGRAM = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from steps import Step
try:
    with Step("set-up", Path({log!r})) as step:
        step.run([sys.executable, "-c", {code!r}], what="installing packages")
        step.say("3 packages")
except subprocess.CalledProcessError as error:
    sys.exit(error.returncode)
"""
TALK = "import time; print('Collecting a'); time.sleep(0.3); print('done')"
FAIL = "print('Collecting a'); print('No matching distribution'); raise SystemExit(7)"


def on_terminal(program: str, term: str = "xterm") -> tuple[int, str]:
    """Run a program on a terminal of 80 columns; return its status and what was shown."""
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": "80"}
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=other, stdout=other, stderr=other, env=environment
    )
    os.close(other)
    shown = b""
    try:
        while part := os.read(main, 65536):
            shown += part
    except OSError:  # the other side is closed
        pass
    os.close(main)
    return child.wait(60), shown.decode()


def program(tmp_path: Path, code: str) -> str:
    return PROGRAM.format(folder=str(REQUIREMENTS), log=str(tmp_path / "log" / "x.log"), code=code)


def test_a_step_is_one_line_and_its_tools_write_to_the_log(tmp_path: Path) -> None:
    status, shown = on_terminal(program(tmp_path, TALK))
    assert status == 0
    assert "Collecting" not in shown
    assert shown.count("\n") == 1
    states = shown.split("\r\x1b[2K")
    assert any("installing packages" in state for state in states)
    assert states[-1].startswith("set-up     ✔ 3 packages")
    log = tmp_path / "log" / "x.log"
    assert "Collecting a" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    status, shown = on_terminal(program(tmp_path, FAIL))
    assert status == 7
    assert "✘ failed" in shown
    assert "No matching distribution" in shown
    assert f"all of it: {tmp_path / 'log' / 'x.log'}" in shown


@pytest.mark.parametrize("code", [TALK, FAIL])
def test_without_a_terminal_the_tools_write_where_they_did(tmp_path: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program(tmp_path, code)], capture_output=True, text=True, check=False
    )
    assert "Collecting a" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert not (tmp_path / "log").exists()


def test_a_dumb_terminal_is_none(tmp_path: Path) -> None:
    _, shown = on_terminal(program(tmp_path, TALK), term="dumb")
    assert "Collecting a" in shown
    assert "\x1b" not in shown
