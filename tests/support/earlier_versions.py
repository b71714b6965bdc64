"""Earlier versions of the project, and their files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.containers import ROOT

RECENT_CHANGES = 40


def recent() -> str:
    """Return what a deployment that follows the branch may have: some changes of the gateway ago.

    Raises:
        LookupError: This clone has no history.
    """
    lines = _git(
        "rev-list", f"--max-count={RECENT_CHANGES}", "--reverse", "HEAD", "--", "gateway"
    )  # fmt: skip
    if not lines:
        raise LookupError("no commit of gateway/")
    return lines[0][:12]


def check_out(revision: str, folder: Path) -> Path:
    """Write the files of a revision into a new folder and return it."""
    folder.mkdir(parents=True)
    archive = folder.with_name(f"{folder.name}.tar")
    _git("archive", "--output", str(archive), revision)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    archive.unlink()
    return folder


def _git(*args: str) -> list[str]:
    command = ["git", "-C", str(ROOT), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
