"""Tenants on devices: what is there, what is coming or going, and what each has done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gateway.services.lipsync.tenants.catalogue import TenantEntry
from gateway.services.lipsync.tenants.device import Device
from gateway.services.lipsync.tenants.eviction import Frequency, Resident
from gateway.services.lipsync.tenants.source import Stamp

FAILURE_SECONDS = 5.0  # in which a load that failed is not tried again for every request


@dataclass
class Usage:
    """Counters of one tenant; moments are monotonic seconds.

    Attributes:
        calls: answered.
        frames: answered.
        inference_ms: computation of those calls.
        last_used: None before the first call.
        frequency: of calls, aged.
        graph: hash of the graph it had last.
        memory_bytes: it had last on one device; the expectation of the next load.
        error: why the last load failed.
    """

    calls: int = 0
    frames: int = 0
    inference_ms: float = 0.0
    last_used: float | None = None
    frequency: Frequency = field(default_factory=Frequency)
    graph: str = ""
    memory_bytes: int = 0
    error: str | None = None
    failed: float = 0.0


class UsageStats:
    """The usage of all tenants.

    Args:
        half_life: of a use, in seconds.
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self._usages: dict[str, Usage] = {}

    def of(self, tenant: str) -> Usage:
        """Return a tenant's usage, to be changed in place."""
        return self._usages.setdefault(tenant, Usage())

    def forget(self, tenants: frozenset[str]) -> None:
        """Drop tenants that are gone; their ids may come back as others'."""
        for tenant in tenants:
            self._usages.pop(tenant, None)

    def used(self, tenant: str, frames: int, milliseconds: float, now: float) -> None:
        """Count one answered call."""
        usage = self.of(tenant)
        usage.calls += 1
        usage.frames += frames
        usage.inference_ms += milliseconds
        usage.last_used = now
        usage.frequency = usage.frequency.used(now, self.half_life)

    def loaded(self, tenant: str, memory_bytes: int, graph: str) -> None:
        """Note a load that worked."""
        usage = self.of(tenant)
        usage.memory_bytes, usage.graph, usage.error = memory_bytes, graph, None

    def failed(self, tenant: str, cause: str, now: float) -> None:
        """Note a load that did not."""
        usage = self.of(tenant)
        usage.error, usage.failed = cause, now

    def recent_failure(self, tenant: str, now: float) -> str | None:
        """Return why a load failed a moment ago, or None."""
        usage = self._usages.get(tenant)
        if usage is None or usage.error is None or now - usage.failed >= FAILURE_SECONDS:
            return None
        return usage.error

    def expected_bytes(self, tenant: str) -> int:
        """Return the memory a load is expected to take: its own last, else the most of any."""
        usage = self._usages.get(tenant)
        if usage and usage.memory_bytes:
            return usage.memory_bytes
        return max((usage.memory_bytes for usage in self._usages.values()), default=0)


class Phase(Enum):
    """Where a replica is in its life."""

    QUEUED = "queued"  # waits for room; takes none yet
    LOADING = "loading"
    RESIDENT = "resident"
    LEAVING = "leaving"
    GONE = "gone"


COMING = (Phase.QUEUED, Phase.LOADING)


@dataclass(eq=False)
class Replica:
    """One tenant on one device.

    Attributes:
        device: where it is.
        phase: where it is in its life.
        users: leases on it, those that wait for its load included.
        memory_bytes: measured; before the load the expectation.
        loaded: monotonic seconds.
        stamp: of its file when it was loaded.
        task: its load or, when leaving, its unload.
        reloading: held while its weights are replaced.
    """

    entry: TenantEntry
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


class ReplicaTable:
    """All replicas, by tenant and device."""

    def __init__(self) -> None:
        self._table: dict[str, dict[int, Replica]] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self._taking = 0  # replicas that take room

    def __iter__(self) -> Iterator[Replica]:
        for places in self._table.values():
            yield from places.values()

    @property
    def taking_room(self) -> int:
        """ReplicaTable that are not merely queued."""
        return self._taking

    def of(self, tenant: str) -> list[Replica]:
        """Return a tenant's replicas."""
        return list(self._table.get(tenant, {}).values())

    def add(self, replica: Replica) -> None:
        """Add one that is queued."""
        self._table.setdefault(replica.entry.tenant, {})[replica.device.index] = replica

    def reserve(self, replica: Replica) -> None:
        """Give room to one that is queued: it is loading from now on."""
        replica.phase = Phase.LOADING
        self._taking += 1

    def remove(self, replica: Replica) -> None:
        """Remove one, unless it is gone already."""
        places = self._table.get(replica.tenant, {})
        if places.get(replica.device.index) is not replica:
            return
        del places[replica.device.index]
        if not places:
            del self._table[replica.tenant]
        if replica.phase is not Phase.QUEUED:
            self._taking -= 1
        replica.phase = Phase.GONE
        self.changed()

    def on(self, device: Device) -> list[Replica]:
        """Return the replicas of one device."""
        return [replica for replica in self if replica.device is device]

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

    def snapshot(self, stats: UsageStats, now: float, *, leaving: bool) -> list[Resident]:
        """Return everybody who takes room, for a decision; with or without those leaving."""
        residents = []
        for replica in self:
            if replica.phase is Phase.QUEUED or (replica.phase is Phase.LEAVING and not leaving):
                continue
            usage = stats.of(replica.tenant)
            residents.append(
                Resident(
                    tenant=replica.tenant,
                    device=replica.device.index,
                    memory_bytes=replica.memory_bytes,
                    last_used=max(replica.loaded, usage.last_used or 0.0),
                    loaded=replica.loaded,
                    frequency=usage.frequency.at(now, stats.half_life),
                    held=replica.users > 0 or replica.phase is not Phase.RESIDENT,
                    pinned=replica.entry.pinned,
                )
            )
        return residents

    def find(self, resident: Resident) -> Replica | None:
        """Return the replica that a decision is about, unless it is gone."""
        return self._table.get(resident.tenant, {}).get(resident.device)
