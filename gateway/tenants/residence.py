"""Tenants on devices: what is there, and what is just coming or going."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gateway.tenants.catalogue import Entry
from gateway.tenants.device import Device
from gateway.tenants.folder import Stamp
from gateway.tenants.residency import Resident
from gateway.tenants.usage import Ledger


class Phase(Enum):
    """Where a residence is in its life."""

    QUEUED = "queued"  # waits for room; takes none yet
    LOADING = "loading"
    RESIDENT = "resident"
    LEAVING = "leaving"
    GONE = "gone"


COMING = (Phase.QUEUED, Phase.LOADING)


@dataclass(eq=False)
class Residence:
    """One tenant on one device.

    Attributes:
        entry: the tenant.
        device: where it is.
        phase: where it is in its life.
        users: leases on it, those that wait for its load included.
        memory_bytes: measured; before the load the expectation.
        loaded: monotonic seconds.
        stamp: of its file when it was loaded.
        task: its load or, when leaving, its unload.
        reloading: held while its weights are replaced.
    """

    entry: Entry
    device: Device
    phase: Phase = Phase.QUEUED
    users: int = 0
    memory_bytes: int = 0
    loaded: float = 0.0
    stamp: Stamp | None = None
    task: asyncio.Task[None] | None = None
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def tenant(self) -> str:
        """The tenant's id."""
        return self.entry.tenant


class Residences:
    """All residences, by tenant and device."""

    def __init__(self) -> None:
        self._table: dict[str, dict[int, Residence]] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self._taking = 0  # residences that take room

    def __iter__(self) -> Iterator[Residence]:
        for places in self._table.values():
            yield from places.values()

    @property
    def taking_room(self) -> int:
        """Residences that are not merely queued."""
        return self._taking

    def of(self, tenant: str) -> list[Residence]:
        """Return a tenant's residences."""
        return list(self._table.get(tenant, {}).values())

    def add(self, residence: Residence) -> None:
        """Add one that is queued."""
        self._table.setdefault(residence.entry.tenant, {})[residence.device.index] = residence

    def reserve(self, residence: Residence) -> None:
        """Give room to one that is queued: it is loading from now on."""
        residence.phase = Phase.LOADING
        self._taking += 1

    def remove(self, residence: Residence) -> None:
        """Remove one, unless it is gone already."""
        places = self._table.get(residence.tenant, {})
        if places.get(residence.device.index) is not residence:
            return
        del places[residence.device.index]
        if not places:
            del self._table[residence.tenant]
        if residence.phase is not Phase.QUEUED:
            self._taking -= 1
        residence.phase = Phase.GONE
        self.changed()

    def on(self, device: Device) -> list[Residence]:
        """Return the residences of one device."""
        return [one for one in self if one.device is device]

    def changed(self) -> None:
        """Wake whoever waits for a change: somebody left, or is in use no more."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def change(self, timeout: float | None) -> bool:
        """Wait for a change; False when there was none within ``timeout`` seconds."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            done, _ = await asyncio.wait({waiter}, timeout=timeout)
        finally:
            self._waiters.discard(waiter)
        return bool(done)

    def snapshot(self, ledger: Ledger, now: float, *, leaving: bool) -> list[Resident]:
        """Return everybody who takes room, for a decision; with or without those leaving."""
        found = []
        for one in self:
            if one.phase is Phase.QUEUED or (one.phase is Phase.LEAVING and not leaving):
                continue
            usage = ledger.of(one.tenant)
            found.append(
                Resident(
                    tenant=one.tenant,
                    device=one.device.index,
                    memory_bytes=one.memory_bytes,
                    last_used=max(one.loaded, usage.last_used or 0.0),
                    loaded=one.loaded,
                    frequency=usage.frequency.at(now, ledger.half_life),
                    held=one.users > 0 or one.phase is not Phase.RESIDENT,
                    pinned=one.entry.pinned,
                )
            )
        return found

    def find(self, resident: Resident) -> Residence | None:
        """Return the residence that a decision is about, unless it is gone."""
        return self._table.get(resident.tenant, {}).get(resident.device)
