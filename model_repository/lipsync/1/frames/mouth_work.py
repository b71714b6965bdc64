"""One request for frames on its way through the workers, and memory for its mouths. No Triton.

The memory is used again: fresh memory costs a page fault each 4 KiB, and a request of 50 frames in
FP32 has 61 MB of mouths, which the C library would give back to the system after each answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tenants.table import Resident, TenantTable

from frames.pixels import IMAGE_CHANNELS, SIDE

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


@dataclass(eq=False)
class MouthWork:
    """Frames of one tenant, and where their mouths go; see `frames.workers.Work`.

    Attributes:
        resident: The tenant, acquired from `table` and given back by `release`.
        table: Where it came from.
        arrays: Memory for the mouths; they go back there with the answer.
        frames: [n, 6 or 3, 320, 320], FP32, FP16 or UINT8.
        audio: FP32 [1 or n, 32, 16, 16].
        kind: Type of the mouths.
        answer: Gets this when all mouths are there; they are others' afterwards.
        refuse: Gets the error otherwise.
        cancelled: Whether the client has gone.
        deadline: Time of `time.monotonic` after which nobody waits; None is never.
    """

    resident: Resident
    table: TenantTable
    arrays: MouthArrays
    frames: NDArray[Any]
    audio: NDArray[Any]
    kind: np.dtype[Any]
    answer: Callable[[MouthWork], None]
    refuse: Callable[[BaseException], None]
    cancelled: Callable[[], bool]
    deadline: float | None = None
    arrived: float = field(default_factory=time.monotonic)
    started: float | None = None
    finished: float = 0.0
    checked: float = field(default_factory=time.monotonic)
    mouths: NDArray[Any] | None = None
    computed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def queue_ms(self) -> float:
        """Milliseconds from arrival to the first frame."""
        return ((self.started or self.arrived) - self.arrived) * 1e3

    @property
    def compute_ms(self) -> float:
        """Milliseconds from the first frame to the last."""
        return (self.finished - (self.started or self.arrived)) * 1e3

    def compute(self, worker: int, first: int, count: int) -> None:
        """Compute frames `first` to `first + count - 1`."""
        engine, weights = self.resident.weights
        audio = self.audio if len(self.audio) == 1 else self.audio[first : first + count]
        mouths = self._target()
        # An engine that takes a tenant over from another one may take fewer frames at once.
        for start in range(first, first + count, engine.most_frames):
            rows = slice(start, min(start + engine.most_frames, first + count))
            part = audio if len(audio) == 1 else audio[start - first : rows.stop - first]
            engine.run(worker, weights, self.frames[rows], part, mouths[rows])
        with self._lock:
            self.computed += count
            self.finished = time.monotonic()

    def is_cancelled(self) -> bool:
        """Whether the client has gone."""
        return self.cancelled()

    def finish(self) -> None:
        """Hands the mouths over."""
        self.answer(self)
        if self.mouths is not None:
            self.arrays.give(self.mouths)
            self.mouths = None

    def fail(self, error: BaseException) -> None:
        """Hands the reason over."""
        self.refuse(error)

    def release(self) -> None:
        """Give the tenant back."""
        self.table.release(self.resident, self.computed)

    def _target(self) -> NDArray[Any]:
        """All mouths of the request, allocated with the first frame."""
        with self._lock:
            if self.mouths is None:
                shape = (len(self.frames), IMAGE_CHANNELS, SIDE, SIDE)
                self.mouths = self.arrays.take(shape, self.kind)
            return self.mouths
