"""Vectors that wait to be fetched: in this process's memory alone, few and not for long."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from gateway.errors import BusyError

Owner = tuple[str | None, str]
"""Name of the caller's key, if any, and the person's id: one caller's are not another's."""


class NoRoomError(BusyError):
    """As many vectors wait as may."""

    default_detail = "Too many enrollments wait to be fetched - retry later"


@dataclass(frozen=True)
class KeptVector:
    """One person's vector.

    Attributes:
        vector: float32 [dimensions], with the length that the mean has.
        enrolled: when, UTC.
    """

    vector: NDArray[np.float32]
    enrolled: datetime


@dataclass(frozen=True)
class _Entry:
    kept: KeptVector
    until: float
    expiry: asyncio.TimerHandle


class KeptVectors:
    """The vectors of the newest enrollments; to be used in one event loop.

    Args:
        seconds: how long each is kept.
        entries: how many at most.
    """

    def __init__(self, seconds: float, entries: int) -> None:
        self._seconds = seconds
        self._most = entries
        self._entries: dict[Owner, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def require_room(self, owner: Owner) -> None:
        """Return if a vector of this owner could be kept now.

        Raises:
            NoRoomError: too many are; carries the seconds until the oldest one is not.
        """
        if owner in self._entries or len(self._entries) < self._most:
            return
        oldest = next(iter(self._entries.values()))
        seconds = oldest.until - asyncio.get_running_loop().time()
        raise NoRoomError(retry_after=max(1, math.ceil(seconds)))

    def keep(self, owner: Owner, vector: NDArray[np.float32]) -> None:
        """Keep a vector in place of the owner's last one.

        Raises:
            NoRoomError: too many are kept.
        """
        self.require_room(owner)
        self.forget(owner)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        kept = KeptVector(vector, datetime.now(timezone.utc))
        self._entries[owner] = _Entry(kept, until, loop.call_at(until, self._drop, owner))

    def find(self, owner: Owner) -> KeptVector | None:
        """Return the owner's vector, None if none is kept."""
        entry = self._entries.get(owner)
        if entry is None or entry.until <= asyncio.get_running_loop().time():
            return None
        return entry.kept

    def forget(self, owner: Owner) -> bool:
        """Drop the owner's vector and return whether there was one."""
        known = self.find(owner) is not None
        if entry := self._entries.pop(owner, None):
            entry.expiry.cancel()
        return known

    def _drop(self, owner: Owner) -> None:
        self._entries.pop(owner, None)
