"""Ctrl-C at any moment of a command's start ends it, without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AT_IMPORT = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["--help"]
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
IN_MAIN = """
import os, runpy, signal, sys

def interrupt(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "main":
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)

sys.path.insert(0, "requirements")
sys.setprofile(interrupt)
runpy.run_path({script!r}, run_name="__main__")
"""
SCRIPTS = sorted(
    path
    for path in (ROOT / "requirements").glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)


def ended(code: str) -> tuple[int, str]:
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return found.returncode, found.stderr


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("launcher", "launcher.leftovers"),
        ("launcher", "launcher.supervisor"),
        ("embedded", "launcher.supervisor"),
        ("gateway", "yaml"),
        ("gateway", "gateway.settings.loader"),
        ("export", "export.selection"),
        ("gateway.cli", "launcher.supervisor"),
    ],
)
def test_among_the_imports(module: str, name: str) -> None:
    code = AT_IMPORT.format(module=module, name=name)
    if module == "gateway.cli":
        code = code.replace('"--help"', '"check", "--help"')
    assert ended(code) in ((-signal.SIGINT, ""), (130, ""))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_in_what_make_runs_before(script: Path) -> None:
    assert ended(IN_MAIN.format(script=str(script))) == (130, "")
