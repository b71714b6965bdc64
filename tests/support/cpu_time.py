"""CPU time of what a test asks for, without other processes and the heap of all other tests."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def spent(clock: Callable[[], float] = time.thread_time) -> Iterator[list[float]]:
    """Yields a list that gets the seconds spent inside.

    The heap is frozen meanwhile, as models freeze theirs: to walk some million objects of other
    tests takes the collector about a second.
    """
    found: list[float] = []
    gc.freeze()
    begin = clock()
    try:
        yield found
    finally:
        found.append(clock() - begin)
        gc.unfreeze()
