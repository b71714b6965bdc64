"""Takes in calls that bring large messages: first a slot, then the message, for as few as slots.

A client that is slow to send gives its slot to those who wait for one, and gets another once its
message is there: streams that say nothing keep nobody from the model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.admission import Admission
from gateway.errors import BusyError, DeadlineError
from gateway.services.lipsync.grpc.endpoint import Call

PATIENCE, HASTE = 3.0, 0.5
"""Seconds for which a slot that others want waits for its message, and where MANY are silent; 61 MB
take a tenth of a second on the same machine."""
MANY = 8
POLL = 0.1
MOST_SILENT = 256
"""Calls without a slot whose message is awaited; the next one ends the oldest."""
LATE_BYTES = 512 * 2**20
"""Of messages that came late and wait for a slot again."""


class Intake:
    """The way in to a service.

    Args:
        longest: seconds in which a message must have arrived.
    """

    def __init__(self, admission: Admission, longest: float) -> None:
        self._admission = admission
        self._longest = longest
        self._late = 0
        self._silent: dict[asyncio.Task[bytes], asyncio.Future[None]] = {}

    @asynccontextmanager
    async def message(self, call: Call) -> AsyncIterator[bytes]:
        """Hold a slot, and the call's message, for the block.

        Raises:
            BusyError: no slot came free, or too many calls say nothing.
            BadRequestError: the client sent no message.
            DeadlineError: it did not come in time.
        """
        reading: asyncio.Task[bytes] | None = None
        try:
            async with self._admission.slot():
                reading = call.reading()
                end = time.monotonic() + min(self._longest, call.time_left())
                if await self._prompt(reading, end):
                    yield reading.result()
                    return
            await self._arrival(reading, end)
            async with self._late_slot(len(reading.result())):
                yield reading.result()
        finally:
            if reading:
                reading.cancel()

    async def _prompt(self, reading: asyncio.Task[bytes], end: float) -> bool:
        """Wait for a message with a slot; returns whether it is there before others want that."""
        begin = now = time.monotonic()
        while not reading.done():
            patience = HASTE if len(self._silent) >= MANY else PATIENCE
            if now >= end or (now - begin >= patience and self._admission.waiting):
                return False
            await asyncio.wait({reading}, timeout=min(POLL, end - now))
            now = time.monotonic()
        return True

    async def _arrival(self, reading: asyncio.Task[bytes], end: float) -> None:
        """Wait for a message without a slot."""
        if len(self._silent) >= MOST_SILENT:
            next(iter(self._silent.values())).cancel()
        dismissed = self._silent[reading] = asyncio.get_running_loop().create_future()
        try:
            seconds = max(0.0, end - time.monotonic())
            await asyncio.wait({reading, dismissed}, timeout=seconds, return_when="FIRST_COMPLETED")
        finally:
            del self._silent[reading]
        if dismissed.cancelled():
            raise BusyError("Too many calls send nothing", retry_after=1)
        if not reading.done():
            raise DeadlineError("The message did not arrive in time")

    @asynccontextmanager
    async def _late_slot(self, size: int) -> AsyncIterator[None]:
        """Hold a slot for a message that is in memory already."""
        if self._late + size > LATE_BYTES:
            raise BusyError(retry_after=self._admission.retry_after())
        self._late += size
        waiting = True
        try:
            async with self._admission.slot():
                self._late -= size
                waiting = False
                yield
        finally:
            if waiting:
                self._late -= size
