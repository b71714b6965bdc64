"""Memory for the mouths of requests, used again: fresh memory costs a page fault each 4 KiB.

A request of 50 frames in FP32 has 61 MB of mouths, which the C library would give back to the
system after each answer.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT_BYTES = 2**28
"""That are kept between requests: four of the largest answers."""


class MouthArrays:
    """Arrays that come back; safe to use from any thread."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        """At most `kept_bytes` wait to be used again."""
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._kept: list[NDArray[Any]] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array without gaps, not set to anything."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self._lock:
            fitting = [kept for kept in self._kept if size <= kept.nbytes <= 2 * size]
            memory = min(fitting, key=lambda kept: kept.nbytes, default=None)
            if memory is not None:
                self._kept = [kept for kept in self._kept if kept is not memory]
        if memory is None:
            memory = np.empty(size, np.uint8)
        return memory[:size].view(dtype).reshape(shape)

    def give(self, array: NDArray[Any]) -> None:
        """Take an array of `take` back, which nobody looks at any more."""
        memory = array
        while memory.base is not None:  # the bytes that it is a view of
            memory = memory.base
        with self._lock:
            self._kept.append(memory)
            while sum(kept.nbytes for kept in self._kept) > self._kept_bytes:
                self._kept.pop(0)
