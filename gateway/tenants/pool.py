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
from gateway.settings.lipsync import LipsyncSettings
from gateway.tenants.catalogue import Catalogue, Entry
from gateway.tenants.commands import DeviceStats
from gateway.tenants.describe import device_row, tenant_row
from gateway.tenants.device import Device
from gateway.tenants.errors import NotLoadedError
from gateway.tenants.holding import Holding, ended
from gateway.tenants.lease import Lease
from gateway.tenants.metrics import PoolMetrics
from gateway.tenants.mover import Mover
from gateway.tenants.residence import COMING, Phase, Residence, Residences
from gateway.tenants.rows import DeviceRow, LoadOutcome, TenantRow
from gateway.tenants.usage import Ledger
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
        self.residences = Residences()
        self.ledger = Ledger(settings.capacity.lfu_half_life_minutes * 60)
        self.mover = Mover(self.residences, self.ledger, settings, monitor, metrics, clock)
        self._holding = Holding(settings, devices, self.residences, self.ledger, self.mover, clock)
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
            self.ledger,
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
            for one in self.residences.of(tenant)
            if one.phase is Phase.RESIDENT and one.device.usable
        ]
        if loaded and force:
            await asyncio.gather(*(self._reload(one, entry) for one in loaded))
        elif not loaded:
            if force:
                self.ledger.of(tenant).error = None
            coming = any(one.phase in COMING for one in self.residences.of(tenant))
            residence = await self._holding.hold(tenant)
            try:
                if force and coming:  # that load may have read the file before it was replaced
                    await self._reload(residence, entry)
            finally:
                self.release(residence)
        return LoadOutcome((self._clock() - begin) * 1000, self.row(tenant))

    async def unload(self, tenant: str) -> None:
        """Take a tenant out of all devices; requests under way finish first.

        Raises:
            NotLoadedError: it is on none.
        """
        found = self.residences.of(tenant)
        for one in found:
            if one.phase in COMING:
                await ended(one)
        leaving = [
            self.mover.unload(one, "request") for one in found if one.phase is Phase.RESIDENT
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
        return tenant_row(entry, self.residences.of(tenant), self.ledger.of(tenant), self._epoch)

    def rows(self) -> list[TenantRow]:
        """Return every tenant as it is now, in the order of the catalogue."""
        return [self.row(entry.tenant) for entry in self.catalogue]

    def devices(self) -> list[DeviceRow]:
        """Return every device as it is now."""
        return [
            device_row(one, self.residences.on(one), self._settings)
            for one in self.devices_by_index
        ]

    @property
    def catalogue(self) -> Catalogue:
        """Which tenants there are."""
        return self._holding.catalogue

    def take_lost(self) -> set[str]:
        """Return the tenants that models turned out not to have since the last call."""
        lost, self._holding.lost_tenants = self._holding.lost_tenants, set()
        return lost

    def release(self, residence: Residence) -> None:
        """See :meth:`Holding.release`."""
        self._holding.release(residence)

    def lost(self, residence: Residence) -> None:
        """See :meth:`Holding.lost`."""
        self._holding.lost(residence)

    def adopt(self, catalogue: Catalogue) -> None:
        """Take over a catalogue; tenants that are gone leave once nobody uses them."""
        if catalogue != self.catalogue:
            gone = frozenset(one.tenant for one in self.catalogue if one.tenant not in catalogue)
            self._holding.catalogue = catalogue
            self.ledger.forget(gone)
            log.info("catalogue", extra={"models": len(catalogue), "removed": len(gone)})
        for residence in tuple(self.residences):
            entry = catalogue.get(residence.tenant)
            if entry and entry.file == residence.entry.file:
                residence.entry = entry
            elif residence.phase is Phase.RESIDENT:  # who is coming is met in the next round
                self.mover.unload(residence, "removed")

    async def survey(self, device: Device, timeout: float) -> DeviceStats:
        """Ask a device's model what it has, and believe it rather than the own table.

        A model that was loaded anew has nothing; one that outlived the gateway has leftovers,
        possibly of files that have changed since: they are taken out.

        Raises:
            GatewayError: the model does not answer.
        """
        before = self.residences.on(device)
        steady = [one for one in before if one.phase is Phase.RESIDENT]
        stats = device.stats = await device.commands.stats(timeout)
        server = self._settings.server
        device.admission.resize(server.calls_at_once(on_gpu=stats.kind == "cuda"))
        for one in steady:
            if known := stats.tenants.get(one.tenant):
                one.memory_bytes = known.memory_bytes or one.memory_bytes
            else:
                self.lost(one)
        mine = {one.tenant for one in (*before, *self.residences.on(device))}
        for tenant in stats.tenants.keys() - mine:
            log.info("unloading leftover", extra={"tenant": tenant, "device": device.index})
            await device.commands.unload(tenant)
        return stats

    async def close(self) -> None:
        """End all loads and unloads."""
        await self.mover.close()

    async def _reload(self, residence: Residence, entry: Entry) -> None:
        """Replace a resident's weights; a model that dies meanwhile gets the tenant anew."""
        try:
            await self.mover.reload(residence, entry)
        except UnavailableError as error:
            self._monitor.failed(residence.device.model, error)
            if not isinstance(error, ModelDeadError):
                raise
            self.lost(residence)
            self.release(await self._holding.hold(entry.tenant))
