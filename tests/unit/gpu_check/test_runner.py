"""Parts in processes of their own: none takes another down, and time is bounded."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.gpu.check.options import Options
from tests.gpu.check.parts import Part
from tests.gpu.check.runner import sections
from tests.gpu.check.section import Section

# What a part's process does, by the part's name; FILE is where its section belongs.
BEHAVIOUR = """#!{python}
import os, signal, subprocess, sys, time
sys.path.insert(0, os.getcwd())
from pathlib import Path
from tests.gpu.check.section import RUNNING, Section

name, file = sys.argv[3], Path(sys.argv[4])
section = Section(name, RUNNING)
section.add("before", "ms", 1.0)
section.save(file)
if name == "crashes":
    os.kill(os.getpid(), signal.SIGSEGV)
if name == "exits":
    print("something unheard of")
    sys.exit(7)
if name == "hangs":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    left = subprocess.Popen(["sleep", "600"])
    section.note("left", left.pid)
    section.save(file)
    time.sleep(600)
if name == "leaves":
    section.note("left", subprocess.Popen(["sleep", "600"]).pid)
section.state = "ok"
section.save(file)
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter that behaves badly."""
    file = tmp_path / "python"
    file.write_text(BEHAVIOUR.format(python=sys.executable))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def run(
    tmp_path: Path, python: Path, *names: str, budget: float = 60.0, seconds: float = 30.0
) -> list[Section]:
    work = tmp_path / "work"
    work.mkdir()
    parts = [Part(name, "", "", seconds=seconds) for name in names]
    return list(sections(parts, Options("cpu", True, work), python, budget))


def test_a_part_that_dies_takes_no_other_down(
    tmp_path: Path, python: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = run(tmp_path, python, "crashes", "exits", "good")
    assert [(one.state, one.reason) for one in found] == [
        ("failed", "its process was ended by SIGSEGV"),
        ("failed", "its process ended with status 7"),
        ("ok", ""),
    ]
    assert [figure.name for one in found for figure in one.figures] == ["before"] * 3
    assert "something unheard of" in capfd.readouterr().err


def test_a_part_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.gpu.check.runner.GRACE_SECONDS", 0.5)
    hung, good = run(tmp_path, python, "hangs", "good", seconds=2.0)
    assert (hung.state, hung.reason) == ("failed", "not finished after 2 s")
    assert hung.figures
    assert good.state == "ok"
    assert ended(hung.facts["left"])


def test_what_a_part_leaves_behind_is_ended(tmp_path: Path, python: Path) -> None:
    (left,) = run(tmp_path, python, "leaves")
    assert left.state == "ok"
    assert ended(left.facts["left"])


def test_parts_end_with_the_budget(
    tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.gpu.check.runner.GRACE_SECONDS", 0.5)
    monkeypatch.setattr("tests.gpu.check.runner.LEAST_SECONDS", 1.0)
    begin = time.monotonic()
    cut, never = run(tmp_path, python, "hangs", "good", budget=3.0)
    assert time.monotonic() - begin < 20
    assert cut.state == never.state == "skipped"
    assert cut.reason == "stopped after 3 s: the 3 seconds of --budget were used up"
    assert never.reason == "the 3 seconds of --budget were used up"
    assert cut.figures


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits only for somebody who asks for its status."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    os.kill(pid, 9)
    return False
