"""Whether the disk holds what the accepted jobs have yet to write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import UnavailableError
from gateway.settings.tryon_jobs import JobSettings

RETRY_SECONDS = 30
SMALL = 10
"""Of a small disk no more than this part is kept free beside the shares."""


class NoRoomError(UnavailableError):
    """A further job might leave no room for the results of those that are accepted."""

    reason, default_detail = "disk", "No room on the disk for another job - retry later"


class Room:
    """The disk of the jobs, of which every accepted job has a share until its end is written.

    Args:
        settings: the shares.
        results: whether results are written there, and not on a database server.
        unfinished: counts the jobs whose results are not written yet.
    """

    def __init__(
        self, folder: Path, settings: JobSettings, results: bool, unfinished: Callable[[], int]
    ) -> None:
        self._folder, self._unfinished = folder, unfinished
        self._margin = settings.disk_reserve_bytes
        self._share = settings.result_reserve_bytes if results else 0
        self._arriving = 0

    async def measure(self) -> dict[str, int]:
        """Return the bytes that are `free`, and `needed` for one more job to be accepted.

        Raises:
            OSError: the folder cannot be asked.
        """
        disk = await asyncio.to_thread(os.statvfs, self._folder)
        margin = min(self._margin, disk.f_blocks * disk.f_frsize // SMALL)
        needed = margin + self._share * (self._unfinished() + self._arriving + 1)
        return {"free": disk.f_bavail * disk.f_frsize, "needed": needed}

    async def check(self) -> None:
        """Check that one more job can be accepted.

        Raises:
            NoRoomError: it cannot.
            OSError: the folder cannot be asked.
        """
        room = await self.measure()
        if room["free"] < room["needed"]:
            raise NoRoomError(retry_after=RETRY_SECONDS)

    @contextmanager
    def arrival(self) -> Iterator[None]:
        """Hold the share of a job that is being accepted, once it has been checked."""
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1
