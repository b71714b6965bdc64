"""Work on large bodies and messages: off the event loop, and one piece at a time.

To join, parse, decode or serialise tens of megabytes is one call into C that keeps the
interpreter's lock, in a thread as well. With one thread for all such work the loop waits for one
call at most, however many large bodies come together; in the loop it would wait for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
LARGE = 2**20
"""Bytes from which the way to the thread and back, 0.1 ms, is worth it: most bodies are smaller."""
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="large-work")


async def worked(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``work(*args, **kwargs)``, done at once where it is about few bytes.

    Args:
        size: bytes that the work is about.
        work: may raise anything; uses nothing that belongs to the loop.
        args: its arguments.
        kwargs: further ones.
    """
    if size <= LARGE:
        return work(*args, **kwargs)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREAD, partial(work, *args, **kwargs))
