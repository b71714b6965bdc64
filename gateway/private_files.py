"""What Pentad writes is its user's alone: pictures, user ids, keys, and the way into Triton.

The folder of run-time files is tried before anything relies on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.settings.loader import ConfigError
from gateway.settings.socket_file import TEMPORARY

if TYPE_CHECKING:
    from gateway.settings import Settings

UMASK = 0o077
"""For every process of Pentad's: new files are 0600, folders 0700, shared memory 0600."""
IN_STATE = ("triton", "tryon", "gateway.lock")
IN_JOBS = (
    *("files", "incoming", "owners", "webhook.secret"),
    *("jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm", "jobs.sqlite-journal"),
)
ENGINES = Path("triton") / "engines"
"""Where the embedded server's backends report what they compute on, below `paths.state`."""


def own_files_only() -> None:
    """Close all that this process and its children create to other users."""
    os.umask(UMASK)


def private_folder(folder: Path) -> None:
    """Make a folder that only this user can enter, unless there is one.

    One that is open is not closed here: it may be everybody's, such as /run.

    Raises:
        PermissionError: It is a link, another user's, or open to others.
        OSError: It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(folder))
    if status.st_mode & UMASK:
        raise PermissionError(errno.EPERM, "it is open to other users", str(folder))


def private_way(file: Path) -> None:
    """Make the private folder of a socket file, unless there is one; in /tmp that around it, too.

    Raises:
        PermissionError: Another user could put a socket there.
        OSError: It cannot be made.
    """
    if file.parent.parent.parent == TEMPORARY:  # its owner could exchange the inner folder
        private_folder(file.parent.parent)
    private_folder(file.parent)


def private_file(file: Path) -> None:
    """Make an empty file of mode 0600 for a library that opens it, unless there is one.

    Raises:
        OSError: It cannot be made.
    """
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def tighten(root: Path) -> None:
    """Take the rights of other users from a file or folder and all that is in it.

    What is a link, another user's, or gone meanwhile stays as it is; `make check` names what is
    still open.
    """
    pending = [root]
    while pending:
        path = pending.pop()
        with contextlib.suppress(OSError):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                continue
            if status.st_mode & UMASK and status.st_uid == os.geteuid():
                path.chmod(stat.S_IMODE(status.st_mode) & ~UMASK)
            if stat.S_ISDIR(status.st_mode):
                pending.extend(path.iterdir())


def private_paths(settings: Settings) -> list[Path]:
    """Return what of Pentad's holds pictures, ids or keys, or the way into Triton.

    Named one by one: `paths.state` and `tryon.jobs.folder` may be folders with other things.
    """
    state = settings.paths.state
    paths = [state / name for name in IN_STATE]
    if (jobs := settings.tryon.jobs.folder) is not None:
        paths += [jobs / name for name in IN_JOBS]
    return paths


def close_to_others(settings: Settings) -> None:
    """Close what older versions, or a process without :data:`UMASK`, left open."""
    for path in private_paths(settings):
        tighten(path)


def open_to_others(path: Path) -> bool:
    """Whether other users have any right on this file or folder; false where there is none."""
    try:
        return bool(path.stat().st_mode & UMASK)
    except OSError:
        return False


def usable_state(folder: Path) -> None:
    """Create the folder where it is missing, and write into it.

    Raises:
        ConfigError: that is not possible; the message says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"paths.state is {folder}, where nothing can be written ({reason}): name another folder"
        ) from None
