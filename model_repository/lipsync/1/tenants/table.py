"""Which tenants are resident, and who still uses them. Pure Python.

A resident tenant is never changed: loading it again puts another `Resident` in its place, and
requests that hold the old one finish on it. Its weights are freed when the last of them is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from lipsync_errors import TenantNotLoadedError


class Resident:
    """One tenant's weights on a device.

    Attributes:
        tenant: Its id.
        weights: What the engine made of them; None once they are freed.
        facts: What the import says of the tenant (graph, path, …).
        loaded: Epoch seconds.
        frames: Frames computed with these weights.
        references: Requests that hold it.
    """

    def __init__(self, tenant: str, weights: Any, facts: dict[str, Any]) -> None:
        self.tenant = tenant
        self.weights = weights
        self.facts = facts
        self.loaded = time.time()
        self.frames = 0
        self.references = 0
        self._leaving: list[Callable[[], None]] | None = None


class TenantTable:
    """The tenants of one device; safe to use from any thread."""

    def __init__(self, free: Callable[[Any], None]) -> None:
        """`free` gets the weights that nobody uses any more; called once for each."""
        self._free = free
        self._lock = threading.Lock()
        self._residents: dict[str, Resident] = {}

    def __len__(self) -> int:
        """Tenants that requests can use."""
        return len(self._residents)

    def size(self) -> tuple[int, int]:
        """Tenants that requests can use, and the measured bytes of their weights."""
        rows = self.rows()
        return len(rows), sum(row.facts["memory_bytes"] for row in rows)

    def rows(self) -> list[Resident]:
        """All tenants that requests can use."""
        with self._lock:
            return list(self._residents.values())

    def get(self, tenant: str) -> Resident | None:
        """Return the tenant, for its figures only: nothing keeps it from leaving."""
        return self._residents.get(tenant)

    def install(self, resident: Resident) -> None:
        """Make a tenant usable, in place of the one with the same id if there is one."""
        with self._lock:
            old = self._residents.get(resident.tenant)
            self._residents[resident.tenant] = resident
            gone = self._leave(old, lambda: None) if old else []
        self._finish(old, gone)

    def acquire(self, tenant: str) -> Resident:
        """Return the tenant, kept until `release`.

        Raises:
            TenantNotLoadedError: It is not resident, or leaving.
        """
        with self._lock:
            resident = self._residents.get(tenant)
            if resident is None:
                raise TenantNotLoadedError
            resident.references += 1
            return resident

    def release(self, resident: Resident, frames: int) -> None:
        """Give a tenant back after `frames` frames."""
        with self._lock:
            resident.references -= 1
            resident.frames += frames
            leaving = resident._leaving
            gone = leaving if leaving is not None and resident.references == 0 else []
        self._finish(resident, gone)

    def remove(self, tenant: str, gone: Callable[[], None]) -> bool:
        """Lets no further request use a tenant, and frees it after the last one.

        Args:
            tenant: Its id.
            gone: Called when its memory is free; perhaps before this returns, perhaps from the
                thread of the last request.

        Returns:
            Whether it was resident; `gone` is not called otherwise.
        """
        with self._lock:
            resident = self._residents.pop(tenant, None)
            if resident is None:
                return False
            waiting = self._leave(resident, gone)
        self._finish(resident, waiting)
        return True

    def _leave(self, resident: Resident, gone: Callable[[], None]) -> list[Callable[[], None]]:
        """Mark a tenant as leaving; whom to tell at once, when nobody uses it."""
        resident._leaving = [gone]
        return resident._leaving if resident.references == 0 else []

    def _finish(self, resident: Resident | None, gone: list[Callable[[], None]]) -> None:
        if resident is None or not gone:
            return
        weights, resident.weights = resident.weights, None
        self._free(weights)
        for tell in gone:
            tell()
