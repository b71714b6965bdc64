"""Admission: a bounded number of requests in work, a short bounded queue, an honest Retry-After."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.errors import BusyError

MAX_RETRY_AFTER = 60  # seconds; beyond that a client had better ask again anyway


class Admission:
    """First-come slots of one service.

    Args:
        slots: requests in work at once.
        queue: requests that may wait; the next one fails at once.
        max_wait: longest wait in seconds.
        on_reject: called with the reason (``queue_full`` or ``wait``) of each refusal.
        on_change: called with the requests in work and waiting whenever either changes.
    """

    def __init__(
        self,
        slots: int,
        queue: int,
        max_wait: float,
        on_reject: Callable[[str], None] = lambda reason: None,
        on_change: Callable[[int, int], None] = lambda in_flight, waiting: None,
    ) -> None:
        self.slots = slots
        self.queue = queue
        self.max_wait = max_wait
        self._on_reject = on_reject
        self._on_change = on_change
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._seconds_per_request = 0.0  # moving average of the time between completions
        self._last_completion = 0.0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """Requests waiting for a slot now."""
        return len(self._waiters)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot for the block.

        Raises:
            BusyError: the queue is full or no slot came free in time.
        """
        await self._acquire()
        try:
            yield
        finally:
            self._release()

    def resize(self, slots: int) -> None:
        """Change how many requests may be in work; those in work stay."""
        self.slots = slots
        while self._waiters and self.in_flight < slots:
            self.in_flight += 1
            self._waiters.popleft().set_result(None)
        self._changed()

    def retry_after(self) -> int:
        """Seconds until the work accepted so far should be done, from the measured rate."""
        pending = self.in_flight + self.waiting
        return min(max(1, math.ceil(pending * self._seconds_per_request)), MAX_RETRY_AFTER)

    async def _acquire(self) -> None:
        if self.in_flight < self.slots and not self._waiters:
            self._start()
            return
        if self.waiting >= self.queue:
            self._reject("queue_full")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._changed()
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the slot.
            done, _ = await asyncio.wait({waiter}, timeout=self.max_wait)
        except asyncio.CancelledError:
            if waiter.done():
                self._release()  # the slot came in the same moment: pass it on
            else:
                self._waiters.remove(waiter)
                self._changed()
            raise
        if not done:
            self._waiters.remove(waiter)
            self._changed()
            self._reject("wait")

    def _start(self) -> None:
        if self.in_flight == 0:
            self._last_completion = time.monotonic()  # idle time says nothing about the rate
        self.in_flight += 1
        self._changed()

    def _release(self) -> None:
        now = time.monotonic()
        gap = now - self._last_completion
        self._last_completion = now
        known = self._seconds_per_request
        self._seconds_per_request = gap if known == 0 else 0.9 * known + 0.1 * gap
        if self._waiters and self.in_flight <= self.slots:
            self._waiters.popleft().set_result(None)  # the slot changes hands
        else:
            self.in_flight -= 1
        self._changed()

    def _changed(self) -> None:
        self._on_change(self.in_flight, self.waiting)

    def _reject(self, reason: str) -> None:
        self._on_reject(reason)
        raise BusyError(retry_after=self.retry_after())
