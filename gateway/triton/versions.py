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
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and OLDEST.server <= (int(found[1]), int(found[2])) <= NEWEST.server:
        return None
    oldest, newest = (
        f"{one.server[0]}.{one.server[1]} ({one.container})" for one in (OLDEST, NEWEST)
    )
    return f"Triton {version[:40]} is outside of the range that is tested: {oldest} to {newest}"
