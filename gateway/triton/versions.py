"""The releases of Triton that this is made for."""

from __future__ import annotations

import re
from typing import NamedTuple


class Release(NamedTuple):
    """One release: the number of the server, and that of NVIDIA's container."""

    server: tuple[int, int]
    container: str


OLDEST = Release((2, 51), "24.10")
"""The embedded server: every test runs against it."""
NEWEST = Release((2, 69), "26.05")
"""The images' (docker/versions.env): compared as docs/operations/gpu.md says, not run."""


def untested(version: str) -> str | None:
    """Return what to tell a person of a server outside of the range; None within it.

    Args:
        version: as the server tells it, such as ``2.51.0``; empty where it is not known.
    """
    if not version:
        return None
    match = re.match(r"(\d+)\.(\d+)", version)
    if match and OLDEST.server <= (int(match[1]), int(match[2])) <= NEWEST.server:
        return None
    oldest, newest = (
        f"{version.server[0]}.{version.server[1]} ({version.container})"
        for version in (OLDEST, NEWEST)
    )
    return f"Triton {version[:40]} is outside of the range that is tested: {oldest} to {newest}"
