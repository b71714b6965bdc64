"""How many connections the file descriptors of this process are enough for."""

from __future__ import annotations

import resource

RESERVED_SHARE = 4  # a quarter is for files, databases, shared memory and Triton
RESERVED_LEAST = 128
MOST = 2048  # per listener, unless more are wanted: a connection takes memory, too
UNLIMITED = 2**20


def raise_limit() -> int:
    """Raise this process's limit of open files to the most it may have, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard


def connections_per_listener(descriptors: int, listeners: int, most: int | None = None) -> int:
    """Return how many connections each listener may hold, with descriptors kept in reserve.

    Args:
        descriptors: limit of open files of this process.
        listeners: listeners that share them; at least 1.
        most: wanted at most; never more than there are descriptors for.
    """
    reserve = max(RESERVED_LEAST, descriptors // RESERVED_SHARE)
    return max(1, min(most or MOST, (descriptors - reserve) // listeners))
