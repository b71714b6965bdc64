"""Earlier versions of the project: which there are, and their files."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers import ROOT

DAY = 24 * 3600
RECENT_CHANGES = 40


@dataclass(frozen=True)
class Earlier:
    """An earlier version with its images.

    Attributes:
        revision: Its tag or commit.
        compose: Its compose file, in a folder with all of its files.
        images: Names of its images by service of that file.
    """

    revision: str
    compose: Path
    images: dict[str, str]


def recent() -> str:
    """Return what a deployment that follows the branch may have: some changes of the gateway ago.

    Raises:
        LookupError: This clone has no history.
    """
    return _first("rev-list", f"--max-count={RECENT_CHANGES}", "--reverse", "HEAD", "--", "gateway")


def released() -> str:
    """Return the last release, or where there is none yet, the project as it was a week before.

    Raises:
        LookupError: This clone has no history.
    """
    if tags := _git("tag", "--list", "v*", "--sort=-v:refname", "--no-contains", "HEAD"):
        return tags[0]
    now = int(_first("log", "-1", "--format=%ct"))
    return _first("rev-list", "-1", f"--before={now - 7 * DAY}", "HEAD")


def check_out(revision: str, folder: Path) -> Path:
    """Write the files of a revision into a new folder and return it."""
    folder.mkdir(parents=True)
    archive = folder.with_name(f"{folder.name}.tar")
    _git("archive", "--output", str(archive), revision)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    archive.unlink()
    return folder


def _first(*args: str) -> str:
    lines = _git(*args)
    if not lines:
        raise LookupError(f"nothing by git {' '.join(args)}")
    return lines[0][:12]


def _git(*args: str) -> list[str]:
    command = ["git", "-C", str(ROOT), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
