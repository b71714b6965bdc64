"""The socket file at which the embedded Triton answers.

Triton 2.51 knows no key that stays out of its argument list, and who reaches its ports can load
code. A socket in a folder of mode 0700 needs no key: the kernel lets nobody else in.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

SCHEME = "unix:"
FILE = "grpc:8001"
"""Triton writes its port behind every address, a file's name too."""
LONGEST = 100
"""Bytes of a path; Linux takes 107 for a socket's."""
TEMPORARY = Path("/tmp")  # noqa: S108 (a short path; the folder in it is checked)
# gRPC reads an address as a URI, and `triton.url` has several with a comma between them.
_PLAIN = re.compile(r"[A-Za-z0-9/._+=@-]+")
_NUMBERED = re.compile(r"(?P<path>.+):(?P<port>\d{1,5})")


def socket_address(state: Path) -> str:
    """Return the address of the embedded Triton whose run-time files are in ``state``.

    The file is in ``state`` or, where that path is too long or odd for a socket, in a folder of
    this user's in /tmp.
    """
    folder = state.resolve() / "triton"
    if len(os.fsencode(folder / FILE)) > LONGEST or not _PLAIN.fullmatch(str(folder)):
        name = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:16]
        folder = TEMPORARY / f"pentad-{os.geteuid()}" / name
    return f"{SCHEME}{folder / FILE}"


def socket_file(address: str) -> Path | None:
    """Return the path of a ``unix:`` address, None for any other."""
    return Path(address.removeprefix(SCHEME)) if address.startswith(SCHEME) else None


def split(file: Path) -> tuple[str, int]:
    """Return the address and the port that make Triton listen at this file.

    Raises:
        ValueError: the name does not end in a colon and a port.
    """
    match = _NUMBERED.fullmatch(str(file))
    if not match or not 0 < int(match["port"]) < 65536:
        raise ValueError(f"{file.name} must end in a colon and a port, such as {FILE}")
    return f"{SCHEME}{match['path']}", int(match["port"])
