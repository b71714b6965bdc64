"""Packages in folders of their own, which only those import who need them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from export.errors import ExportError
from export.progress import Progress

PIP = (sys.executable, "-m", "pip")
SAFELY = ("--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:")


def run(command: Sequence[str], failure: str, folder: str | Path | None = None) -> None:
    """Run a tool in a folder.

    Raises:
        ExportError: It failed: `failure`, and the last line of its errors.
    """
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if outcome.returncode != 0:
        last = outcome.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ExportError(f"{failure}: {last[0]}")


def identity(lock: Path) -> str:
    """Return what changes when the packages of a lock file or the Python do."""
    return hashlib.sha256(sys.version.encode() + lock.read_bytes()).hexdigest()


def folder(cache: Path, prefix: str, lock: Path) -> Path:
    """Where the packages of a lock file are, or will be."""
    return (cache / "packages" / f"{prefix}-{identity(lock)[:12]}").resolve()


def install(target: Path, lock: Path, title: str, progress: Progress) -> Path:
    """Installs the pinned packages of a lock file into a folder unless it is there.

    Args:
        target: As `folder` names it; returned.
        lock: Requirements with hashes.
        title: What the progress line and the error call them.
        progress: Shows the download.

    Raises:
        ExportError: pip cannot install them.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [*PIP, "install", "--disable-pip-version-check", *SAFELY]
        command += ["--target", f"{scratch}/site", "--requirement", str(lock)]
        with progress.busy(f"download {title}"):
            run(command, f"pip could not install {title}")
        if not target.is_dir():  # another process may have been quicker
            shutil.move(f"{scratch}/site", target)
    return target
