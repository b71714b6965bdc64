"""Tells those who watch a job that it has changed in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class JobEvents:
    """Events by job; watchers of jobs in other gateways have to look now and then."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def tell(self, job_id: str) -> None:
        """Wake all who watch a job."""
        for event in self._watchers.get(job_id, ()):
            event.set()

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each change; the watcher clears it."""
        event = asyncio.Event()
        watchers = self._watchers.setdefault(job_id, set())
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(job_id, None)


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, clear it, and return whether it came in time.

    Not ``asyncio.wait_for``: before Python 3.12 it loses cancellations.
    """
    task = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    happened = event.is_set()
    event.clear()
    return happened
