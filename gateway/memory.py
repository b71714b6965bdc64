"""How this process uses memory: less work for the allocator and the garbage collector."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc

# malloc.h of glibc
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
KEPT_BYTES = 512 * 2**20  # free memory kept for the next large bodies
RETURN_SECONDS = 60.0


def keep_large_buffers() -> None:
    """Let glibc reuse the memory of large bodies instead of returning it each time.

    Otherwise every buffer above some hundred kilobytes is mapped, zeroed page by page and unmapped
    again: for a body of 13 MB that was 31 of 36 ms of CPU, for a gRPC message of 61 MB 2 to 3 of
    the 5.6 ms of each of its 25 frames. A threshold for mapping would do, but glibc allows 32 MiB
    at most. Does nothing with another C library.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def return_free_memory() -> None:
    """Give the system what is free now, between blocks in use too; glibc itself never does that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def keep_returning(seconds: float = RETURN_SECONDS) -> None:
    """Return free memory again and again: what a burst needed is not kept for longer than that."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(return_free_memory)


def tame_garbage_collector() -> None:
    """Take everything made so far out of collection, and collect less often.

    Requests leave no cycles behind, but walking the imported modules again and again was a third
    of the gateway's CPU time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
