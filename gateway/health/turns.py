"""Who loads first: a few loads at a time, the most urgent of those that wait next."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FIRST = ("text", "vision", "lipsync", "iot")
"""Services whose models are loaded first: small models, and clients who do not wait long."""


class Turns:
    """A semaphore whose waiters have an order.

    Args:
        slots: turns at once.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._count = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, rank: int) -> AsyncIterator[None]:
        """Hold a turn for the block; of those who wait the lowest rank is next."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._count), waiter))
        # Who comes in the same moment is compared too.
        asyncio.get_running_loop().call_soon(self._next)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._give_back()
            raise
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        self._free += 1
        self._next()

    def _next(self) -> None:
        while self._free and self._waiting:
            _, _, waiter = heapq.heappop(self._waiting)
            if not waiter.done():  # else its task was cancelled
                self._free -= 1
                waiter.set_result(None)


def rank(service: str) -> int:
    """Return the place of a service among those that load; the smallest is first."""
    return FIRST.index(service) if service in FIRST else len(FIRST)
