"""All tenants on all devices: lends them for inference, loads, unloads, tells how they are.

Everything runs in one event loop and every decision between two awaits, so there are no locks: a
request for a resident tenant never waits for the load of another one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.errors import UnavailableError
from gateway.health.monitor import HealthMonitor
from gateway.services.lipsync.tenants.catalogue import TenantCatalogue, TenantEntry
from gateway.services.lipsync.tenants.device import (
    Device,
    DevicesBusyError,
    DeviceStats,
    NotLoadedError,
    TenantLoadError,
)
from gateway.services.lipsync.tenants.loader import TenantLoader
from gateway.services.lipsync.tenants.metrics import PoolMetrics
from gateway.services.lipsync.tenants.placement import DeviceLoad, RoundRobin, place, spread
from gateway.services.lipsync.tenants.replicas import (
    COMING,
    Phase,
    Replica,
    ReplicaTable,
    UsageStats,
)
from gateway.services.lipsync.tenants.views import (
    DeviceRow,
    LoadOutcome,
    TenantRow,
    device_row,
    tenant_row,
)
from gateway.settings.lipsync import LipsyncSettings
from gateway.triton.status import RETRY_AFTER, ModelDeadError

log = logging.getLogger(__name__)
LOOK = 0.05  # seconds between looks whether a device is back


class TenantPool:
    """The tenants of the lip-sync service.

    Attributes:
        settings: strategies and limits.
        devices: by index.
        monitor: told of models that do not answer.
        clock: monotonic seconds.
        usage: what each tenant has done.
    """

    def __init__(
        self,
        settings: LipsyncSettings,
        devices: Sequence[Device],
        monitor: HealthMonitor,
        metrics: PoolMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.devices = settings, tuple(devices)
        self.monitor, self.metrics, self.clock = monitor, metrics, clock
        self.catalogue = TenantCatalogue()
        self.replicas = ReplicaTable()
        self.usage = UsageStats(settings.capacity.lfu_half_life_minutes * 60)
        self.loader = TenantLoader(self.replicas, self.usage, settings, monitor, metrics, clock)
        self._lost: set[str] = set()
        self._turn = RoundRobin()
        self._epoch = time.time() - clock()

    async def hold(self, tenant: str) -> Replica:
        """Return a replica that is loaded, in use by the caller until :meth:`release`.

        Raises:
            UnknownTenantError: no such tenant.
            TenantLoadError: it cannot be loaded.
            DevicesBusyError: too many calls wait.
            UnavailableError: no device answers.
        """
        until = self.clock() + self.settings.server.slot_wait_seconds
        while True:
            replica = self._choose(self.catalogue.entry(tenant))
            if replica is None:
                await self._device_back(until)
            elif replica.phase is Phase.RESIDENT:
                replica.users += 1
                return replica
            elif replica.phase is Phase.LEAVING:
                with self._waiting(replica.device):
                    await ended(replica)
            elif await self._loaded(replica, until):
                return replica

    def hold_latest(self, device: Device) -> Replica | None:
        """Return the resident of a device that was used last, in use by the caller; None: empty."""
        residents = [
            replica for replica in self.replicas.on(device) if replica.phase is Phase.RESIDENT
        ]
        if not residents:
            return None
        latest = max(residents, key=lambda replica: self.usage.of(replica.tenant).last_used or 0.0)
        latest.users += 1
        return latest

    def release(self, replica: Replica) -> None:
        """Take one use back."""
        replica.users -= 1
        if not replica.users:
            self.replicas.changed()

    def lost(self, replica: Replica) -> None:
        """Forget a replica that the model does not have."""
        if replica.phase is Phase.RESIDENT:
            log.warning(
                "model lost",
                extra={"tenant": replica.tenant, "device": replica.device.index},
            )
            self.replicas.remove(replica)
            self._lost.add(replica.tenant)

    async def load(self, tenant: str, force: bool = False) -> LoadOutcome:
        """Load a tenant; ``force`` reads its file again also when it is resident.

        Raises:
            As :meth:`hold`.
        """
        begin = self.clock()
        entry = self.catalogue.entry(tenant)
        loaded = [
            replica
            for replica in self.replicas.of(tenant)
            if replica.phase is Phase.RESIDENT and replica.device.usable
        ]
        if loaded and force:
            await asyncio.gather(*(self._reload(replica, entry) for replica in loaded))
        elif not loaded:
            if force:
                self.usage.of(tenant).error = None
            coming = any(replica.phase in COMING for replica in self.replicas.of(tenant))
            replica = await self.hold(tenant)
            try:
                if force and coming:  # that load may have read the file before it was replaced
                    await self._reload(replica, entry)
            finally:
                self.release(replica)
        return LoadOutcome((self.clock() - begin) * 1000, self.row(tenant))

    async def unload(self, tenant: str) -> None:
        """Take a tenant out of all devices; requests under way finish first.

        Raises:
            NotLoadedError: it is on none.
        """
        replicas = self.replicas.of(tenant)
        for replica in replicas:
            if replica.phase in COMING:
                await ended(replica)
        leaving = [
            self.loader.unload(replica, "request")
            for replica in replicas
            if replica.phase is Phase.RESIDENT
        ]
        if not leaving:
            raise NotLoadedError(tenant)
        await asyncio.wait(leaving)

    def row(self, tenant: str) -> TenantRow:
        """Return one tenant as it is now.

        Raises:
            UnknownTenantError: no such tenant.
        """
        entry = self.catalogue.entry(tenant)
        return tenant_row(entry, self.replicas.of(tenant), self.usage.of(tenant), self._epoch)

    def rows(self) -> list[TenantRow]:
        """Return every tenant as it is now, in the order of the catalogue."""
        return [self.row(entry.tenant) for entry in self.catalogue]

    def device_rows(self) -> list[DeviceRow]:
        """Return every device as it is now."""
        return [
            device_row(device, self.replicas.on(device), self.settings) for device in self.devices
        ]

    def take_lost(self) -> set[str]:
        """Return the tenants that models turned out not to have since the last call."""
        lost, self._lost = self._lost, set()
        return lost

    def adopt(self, catalogue: TenantCatalogue) -> None:
        """Take over a catalogue; tenants that are gone leave once nobody uses them."""
        if catalogue != self.catalogue:
            gone = frozenset(
                entry.tenant for entry in self.catalogue if entry.tenant not in catalogue
            )
            self.catalogue = catalogue
            self.usage.forget(gone)
            log.info("catalogue", extra={"models": len(catalogue), "removed": len(gone)})
        for replica in tuple(self.replicas):
            entry = catalogue.get(replica.tenant)
            if entry and entry.file == replica.entry.file:
                replica.entry = entry
            elif replica.phase is Phase.RESIDENT:  # who is coming is met in the next round
                self.loader.unload(replica, "removed")

    async def survey(self, device: Device, timeout: float) -> DeviceStats:
        """Ask a device's model what it has, and believe it rather than the own table.

        A model that was loaded anew has nothing; one that outlived the gateway has leftovers,
        possibly of files that have changed since: they are taken out.

        Raises:
            GatewayError: the model does not answer.
        """
        before = self.replicas.on(device)
        steady = [replica for replica in before if replica.phase is Phase.RESIDENT]
        stats = device.stats = await device.commands.stats(timeout)
        server = self.settings.server
        device.admission.resize(server.calls_at_once(on_gpu=stats.kind == "cuda"))
        for replica in steady:
            if known := stats.tenants.get(replica.tenant):
                replica.memory_bytes = known.memory_bytes or replica.memory_bytes
            else:
                self.lost(replica)
        mine = {replica.tenant for replica in (*before, *self.replicas.on(device))}
        for tenant in stats.tenants.keys() - mine:
            log.info("unloading leftover", extra={"tenant": tenant, "device": device.index})
            await device.commands.unload(tenant)
        return stats

    async def close(self) -> None:
        """End all loads and unloads."""
        await self.loader.close()

    async def _reload(self, replica: Replica, entry: TenantEntry) -> None:
        """Replace a resident's weights; a model that dies meanwhile gets the tenant anew."""
        try:
            await self.loader.reload(replica, entry)
        except UnavailableError as error:
            self.monitor.failed(replica.device.model, error)
            if not isinstance(error, ModelDeadError):
                raise
            self.lost(replica)
            self.release(await self.hold(entry.tenant))

    def _choose(self, entry: TenantEntry) -> Replica | None:
        """Return where a request goes; begins a load where there is none. None: no device."""
        here = [replica for replica in self.replicas.of(entry.tenant) if replica.device.usable]
        if here:
            if self.settings.gpus.allow_multi_gpu_models:
                self._spread(entry, here)
            return min(
                here, key=lambda replica: (replica.phase is not Phase.RESIDENT, replica.device.busy)
            )
        failure = self.usage.recent_failure(entry.tenant, self.clock())
        if failure:
            raise TenantLoadError(entry.tenant, failure)
        self._check_waiting()
        strategy = self.settings.gpus.assignment_strategy
        placed = place(strategy, self._loads(), self._turn, entry.tenant, entry.preferred)
        if placed is None:
            return None
        index, turn = placed
        took_turn, self._turn = turn is not self._turn, turn

        def failed() -> None:
            if took_turn:
                self._turn = self._turn.give_back(index)

        return self.loader.load(entry, self.devices[index], failed)

    def _spread(self, entry: TenantEntry, here: list[Replica]) -> None:
        """Begin a load on one more device when all that have the tenant are busy.

        The request that found them so still goes to one of them; later ones find the new one.
        """
        if any(replica.phase is not Phase.RESIDENT for replica in self.replicas.of(entry.tenant)):
            return  # one is coming already
        index = spread([replica.device.index for replica in here], self._loads(), entry.preferred)
        if index is not None:
            self.loader.load(entry, self.devices[index])

    def _loads(self) -> list[DeviceLoad]:
        counts = Counter(replica.device.index for replica in self.replicas)
        return [
            DeviceLoad(
                device=device.index,
                resident=counts[device.index],
                busy=device.busy,
                saturated=device.saturated,
                usable=device.usable,
            )
            for device in self.devices
        ]

    async def _loaded(self, replica: Replica, until: float) -> bool:
        """Wait for a load as a user of the replica; False when the device failed meanwhile."""
        replica.users += 1
        load = replica.task  # an unload may follow it at once, but waits for this user
        try:
            with self._waiting(replica.device):
                await ended(replica)
            if load:
                load.result()
        except UnavailableError:
            self.release(replica)
            if self.clock() >= until:
                raise
            await asyncio.sleep(LOOK)
            return False
        except BaseException:
            self.release(replica)
            raise
        return True

    @contextmanager
    def _waiting(self, device: Device) -> Iterator[None]:
        """Count a call that waits for a load.

        Raises:
            DevicesBusyError: so many wait that there would be no place for those that need not.
        """
        self._check_waiting()
        device.pending += 1
        try:
            yield
        finally:
            device.pending -= 1

    def _check_waiting(self) -> None:
        if sum(device.pending for device in self.devices) >= self.settings.loading_calls:
            raise DevicesBusyError(retry_after=RETRY_AFTER)

    async def _device_back(self, until: float) -> None:
        """Wait until a device is usable again.

        Raises:
            UnavailableError: none is in time, or none is being repaired.
        """
        while not any(device.usable for device in self.devices):
            coming = any(device.model.state == "loading" for device in self.devices)
            if not coming or self.clock() >= until:
                raise UnavailableError(retry_after=RETRY_AFTER)
            await asyncio.sleep(LOOK)


async def ended(replica: Replica) -> None:
    """Wait until a replica is loaded or gone; a cancelled caller leaves the move alone."""
    if replica.task:
        await asyncio.wait({replica.task})
