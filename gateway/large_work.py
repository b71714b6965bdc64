"""Work on large bodies and messages: off the event loop, one piece at a time, with rests.

To join, parse, decode or serialise tens of megabytes is one call into C that keeps the
interpreter's lock, in a thread as well, and the loop gives the lock away whenever it reads from a
socket. Hence one thread does all such work and rests after every call for as long as that took:
however many large bodies come together, what the loop does in a rest waits for one call at most.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
LARGE = 2**20
"""Bytes from which the way to the thread and back, 0.1 ms, is worth it: most bodies are smaller."""
SHORTEST_REST, LONGEST_REST = 0.001, 0.1
"""Seconds."""


class _Pace(threading.local):
    """The thread's own: CPU seconds when it began to work, and when it ended, by the clock."""

    began: float | None = None
    ended = 0.0


_pace = _Pace()


def _start() -> None:
    _pace.began = time.thread_time()


_THREAD = ThreadPoolExecutor(1, thread_name_prefix="large-work", initializer=_start)


async def worked(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``work(*args, **kwargs)``, done at once where it is about few bytes.

    Args:
        size: bytes that the work is about.
        work: may raise anything; uses nothing that belongs to the loop. Between calls that take
            long it calls :func:`rest`.
        args: its arguments.
        kwargs: further ones.
    """
    if size <= LARGE:
        return work(*args, **kwargs)

    def paced() -> T:
        rest(time.monotonic() - _pace.ended)
        try:
            return work(*args, **kwargs)
        finally:
            _pace.ended = time.monotonic()

    return await asyncio.get_running_loop().run_in_executor(_THREAD, paced)


def rest(rested: float = 0.0) -> None:
    """Rest as long as the thread has worked since its last rest; in the loop do nothing.

    It costs next to nothing where the work was short, and may be called after every little piece.

    Args:
        rested: seconds that it has rested already.
    """
    if _pace.began is not None:
        spent = time.thread_time() - _pace.began
        if spent < SHORTEST_REST:
            return
        time.sleep(max(0.0, min(spent, LONGEST_REST) - rested))
        _pace.began = time.thread_time()
