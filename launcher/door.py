"""The socket file at which Triton listens, in a folder that no other user can enter."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from gateway.private_files import private_way
from launcher.errors import LauncherError

_BACKLOG_FULL = errno.EAGAIN


def prepare(file: Path) -> None:
    """Make the folder; Triton itself replaces what is left of a predecessor's socket.

    Raises:
        LauncherError: The folder is not this user's alone, or another Triton answers there.
    """
    try:
        private_way(file)
    except OSError as error:
        raise LauncherError(
            f"{error.filename or file.parent} cannot be Triton's alone ({error.strerror}): "
            "chmod 700 it, or set triton.url: unix:/OWN-FOLDER/triton:8001"
        ) from None
    if answered(file):
        raise LauncherError(
            f"another Triton answers at {file}: stop it, or give this one its own paths.state"
        )


def answered(file: Path) -> bool:
    """Whether a process listens at the socket; a hung one does, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        status = client.connect_ex(os.fspath(file))
    return status in (0, errno.EINPROGRESS, _BACKLOG_FULL)


def remove(file: Path) -> None:
    """Remove the socket, and its folder where that is empty."""
    with contextlib.suppress(OSError):
        file.unlink()
    with contextlib.suppress(OSError):
        file.parent.rmdir()
