"""All tenants on all devices: lends them for inference, loads, unloads, tells how they are.

Everything runs in one event loop and every decision between two awaits, so there are no locks: a
request for a resident tenant never waits for the load of another one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from gateway.errors import UnavailableError
from gateway.health.monitor import HealthMonitor
from gateway.services.lipsync.tenants.catalogue import Catalogue, Entry
from gateway.services.lipsync.tenants.commands import DeviceStats
from gateway.services.lipsync.tenants.describe import device_row, tenant_row
from gateway.services.lipsync.tenants.device import Device
from gateway.services.lipsync.tenants.errors import NotLoadedError
from gateway.services.lipsync.tenants.holding import Holding, ended
from gateway.services.lipsync.tenants.lease import Lease
from gateway.services.lipsync.tenants.loader import TenantLoader
from gateway.services.lipsync.tenants.metrics import PoolMetrics
from gateway.services.lipsync.tenants.replicas import COMING, Phase, Replica, ReplicaTable
from gateway.services.lipsync.tenants.usage import UsageStats
from gateway.services.lipsync.tenants.views import DeviceRow, LoadOutcome, TenantRow
from gateway.settings.lipsync import LipsyncSettings
from gateway.triton.status import ModelDeadError

log = logging.getLogger(__name__)


class TenantPool:
    """The tenants of the lip-sync service.

    Args:
        settings: strategies and limits.
        devices: by index.
        monitor: told of models that do not answer.
        metrics: counters.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: LipsyncSettings,
        devices: Sequence[Device],
        monitor: HealthMonitor,
        metrics: PoolMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.devices_by_index = tuple(devices)
        self.replicas = ReplicaTable()
        self.usage = UsageStats(settings.capacity.lfu_half_life_minutes * 60)
        self.loader = TenantLoader(self.replicas, self.usage, settings, monitor, metrics, clock)
        self._holding = Holding(settings, devices, self.replicas, self.usage, self.loader, clock)
        self._settings = settings
        self._monitor = monitor
        self._metrics = metrics
        self._clock = clock
        self._epoch = time.time() - clock()

    @asynccontextmanager
    async def lease(self, tenant: str) -> AsyncIterator[Lease]:
        """Hold a tenant, loading it if it is not resident, and a slot of its device.

        Raises:
            UnknownTenantError: no such tenant.
            TenantLoadError: it cannot be loaded.
            DevicesBusyError: too many calls wait.
            UnavailableError: no device answers.
        """
        logged = self._settings.logging.log_inference_times
        lease = Lease(
            tenant,
            self._holding,
            self._monitor,
            self.usage,
            self._metrics,
            self._clock,
            logged=logged,
        )
        await lease.open()
        error: BaseException | None = None
        try:
            yield lease
        except BaseException as raised:
            error = raised
            raise
        finally:
            await lease.close(error)

    async def load(self, tenant: str, force: bool = False) -> LoadOutcome:
        """Load a tenant; ``force`` reads its file again also when it is resident.

        Raises:
            As :meth:`lease`, but for slots.
        """
        begin = self._clock()
        entry = self._holding.entry(tenant)
        loaded = [
            one
            for one in self.replicas.of(tenant)
            if one.phase is Phase.RESIDENT and one.device.usable
        ]
        if loaded and force:
            await asyncio.gather(*(self._reload(one, entry) for one in loaded))
        elif not loaded:
            if force:
                self.usage.of(tenant).error = None
            coming = any(one.phase in COMING for one in self.replicas.of(tenant))
            replica = await self._holding.hold(tenant)
            try:
                if force and coming:  # that load may have read the file before it was replaced
                    await self._reload(replica, entry)
            finally:
                self.release(replica)
        return LoadOutcome((self._clock() - begin) * 1000, self.row(tenant))

    async def unload(self, tenant: str) -> None:
        """Take a tenant out of all devices; requests under way finish first.

        Raises:
            NotLoadedError: it is on none.
        """
        found = self.replicas.of(tenant)
        for one in found:
            if one.phase in COMING:
                await ended(one)
        leaving = [
            self.loader.unload(one, "request") for one in found if one.phase is Phase.RESIDENT
        ]
        if not leaving:
            raise NotLoadedError(tenant)
        await asyncio.wait(leaving)

    def row(self, tenant: str) -> TenantRow:
        """Return one tenant as it is now.

        Raises:
            UnknownTenantError: no such tenant.
        """
        entry = self._holding.entry(tenant)
        return tenant_row(entry, self.replicas.of(tenant), self.usage.of(tenant), self._epoch)

    def rows(self) -> list[TenantRow]:
        """Return every tenant as it is now, in the order of the catalogue."""
        return [self.row(entry.tenant) for entry in self.catalogue]

    def devices(self) -> list[DeviceRow]:
        """Return every device as it is now."""
        return [
            device_row(one, self.replicas.on(one), self._settings) for one in self.devices_by_index
        ]

    @property
    def catalogue(self) -> Catalogue:
        """Which tenants there are."""
        return self._holding.catalogue

    def take_lost(self) -> set[str]:
        """Return the tenants that models turned out not to have since the last call."""
        lost, self._holding.lost_tenants = self._holding.lost_tenants, set()
        return lost

    def release(self, replica: Replica) -> None:
        """See :meth:`Holding.release`."""
        self._holding.release(replica)

    def lost(self, replica: Replica) -> None:
        """See :meth:`Holding.lost`."""
        self._holding.lost(replica)

    def adopt(self, catalogue: Catalogue) -> None:
        """Take over a catalogue; tenants that are gone leave once nobody uses them."""
        if catalogue != self.catalogue:
            gone = frozenset(one.tenant for one in self.catalogue if one.tenant not in catalogue)
            self._holding.catalogue = catalogue
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
        steady = [one for one in before if one.phase is Phase.RESIDENT]
        stats = device.stats = await device.commands.stats(timeout)
        for one in steady:
            if known := stats.tenants.get(one.tenant):
                one.memory_bytes = known.memory_bytes or one.memory_bytes
            else:
                self.lost(one)
        mine = {one.tenant for one in (*before, *self.replicas.on(device))}
        for tenant in stats.tenants.keys() - mine:
            log.info("unloading leftover", extra={"tenant": tenant, "device": device.index})
            await device.commands.unload(tenant)
        return stats

    async def close(self) -> None:
        """End all loads and unloads."""
        await self.loader.close()

    async def _reload(self, replica: Replica, entry: Entry) -> None:
        """Replace a resident's weights; a model that dies meanwhile gets the tenant anew."""
        try:
            await self.loader.reload(replica, entry)
        except UnavailableError as error:
            self._monitor.failed(replica.device.model, error)
            if not isinstance(error, ModelDeadError):
                raise
            self.lost(replica)
            self.release(await self._holding.hold(entry.tenant))
