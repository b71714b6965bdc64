"""Paths that Triton can use, for folders with any name.

Triton's Python backend starts a model's process through a shell, without quotes, and that process
begins in ASCII: a space, a quote or an umlaut in the path of a model or of the backend ends there,
a `;` would be run. Such a folder is reached through a link in a folder of ours with a plain name.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from gateway import private_files
from launcher.errors import LauncherError

_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./~#_-]+")


def plain(path: Path) -> Path:
    """Return the absolute path, or a plain link to it.

    Raises:
        LauncherError: A link is needed and cannot be made.
    """
    path = path.resolve()
    if _PLAIN.fullmatch(str(path)):
        return path
    folder = private_folder()
    if not _PLAIN.fullmatch(str(folder)):
        raise LauncherError(
            f"Triton cannot use the path {path}, nor {folder} for a link to it: choose folders "
            "with letters of ASCII and without spaces, quotes and the like (paths.state, "
            "paths.repository, TMPDIR)"
        )
    link = folder / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    if not (link.is_symlink() and Path(os.readlink(link)) == path):
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(path)
            temporary.replace(link)
        except OSError as error:
            raise LauncherError(f"{link} cannot be made: {error.strerror}") from None
    return link


def private_folder() -> Path:
    """Return a folder for temporary things that nobody else can have put there, nor can write to.

    Raises:
        LauncherError: It cannot be made, or somebody else made it.
    """
    folder = Path(tempfile.gettempdir()) / f"pentad-{os.getuid()}"
    try:
        private_files.private_folder(folder)
    except OSError as error:
        raise LauncherError(
            f"{folder} cannot be made ours alone ({error.strerror}): remove it, or set TMPDIR to a "
            "folder of your own"
        ) from None
    return folder
