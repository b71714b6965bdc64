"""The process that becomes Triton cannot open its files to others, even if it tries."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.child import spawn

TRIES = (
    "import os, sys\n"
    "wide = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o644)\n"
    "os.fchmod(wide, 0o644)\n"
    "narrow = os.open(sys.argv[2], os.O_CREAT | os.O_RDWR, 0o600)\n"
    "os.fchmod(narrow, 0o400)\n"
    "os.mkdir(sys.argv[3], 0o777)\n"
)


def tried(tmp_path: Path, *, keep_modes: bool, again: bool = False) -> list[int]:
    """Modes of what a child makes; `again`: a child of that child, as Triton's stubs are."""
    made = [tmp_path / name for name in ("wide", "narrow", "folder")]
    command = [sys.executable, "-c", TRIES, *map(str, made)]
    if again:
        code = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
        command = [sys.executable, "-c", code, *command]
    before = os.umask(0o022)
    try:
        child = spawn(command, env=os.environ, output=subprocess.PIPE, keep_modes=keep_modes)
    finally:
        os.umask(before)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0, output
    return [stat.S_IMODE(path.stat().st_mode) for path in made]


@pytest.mark.parametrize("again", [False, True])
def test_fchmod_opens_nothing_and_still_narrows(tmp_path: Path, again: bool) -> None:
    assert tried(tmp_path, keep_modes=True, again=again) == [0o600, 0o400, 0o700]


def test_other_children_have_the_umask_alone(tmp_path: Path) -> None:
    assert tried(tmp_path, keep_modes=False) == [0o644, 0o400, 0o700]
