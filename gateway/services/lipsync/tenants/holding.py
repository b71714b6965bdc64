"""Finds or makes the replica a call goes to, and waits until it is loaded."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.errors import UnavailableError
from gateway.services.lipsync.tenants.catalogue import Catalogue, Entry
from gateway.services.lipsync.tenants.device import Device
from gateway.services.lipsync.tenants.errors import (
    DevicesBusyError,
    TenantLoadError,
    UnknownTenantError,
)
from gateway.services.lipsync.tenants.loader import TenantLoader
from gateway.services.lipsync.tenants.placement import DeviceLoad, RoundRobin, place, spread
from gateway.services.lipsync.tenants.replicas import Phase, Replica, ReplicaTable
from gateway.services.lipsync.tenants.usage import UsageStats
from gateway.settings.lipsync import LipsyncSettings
from gateway.triton.status import RETRY_AFTER

log = logging.getLogger(__name__)
LOOK = 0.05  # seconds between looks whether a device is back


class Holding:
    """Holds tenants for calls, placing and loading those that are nowhere.

    Args:
        settings: strategies and bounds.
        devices: by index.
        replicas: what is where.
        usage: knows of failed loads.
        loader: loads.
        clock: monotonic seconds.

    Attributes:
        catalogue: which tenants there are.
        lost_tenants: tenants that a model turned out not to have, for the reconciler.
    """

    def __init__(
        self,
        settings: LipsyncSettings,
        devices: Sequence[Device],
        replicas: ReplicaTable,
        usage: UsageStats,
        loader: TenantLoader,
        clock: Callable[[], float],
    ) -> None:
        self.catalogue = Catalogue()
        self.lost_tenants: set[str] = set()
        self._settings = settings
        self._devices = tuple(devices)
        self._replicas = replicas
        self._usage = usage
        self._loader = loader
        self._clock = clock
        self._turn = RoundRobin()

    def entry(self, tenant: str) -> Entry:
        """Return a tenant's entry.

        Raises:
            UnknownTenantError: no such tenant.
        """
        entry = self.catalogue.get(tenant)
        if entry is None:
            raise UnknownTenantError(tenant)
        return entry

    async def hold(self, tenant: str) -> Replica:
        """Return a replica that is loaded, in use by the caller until :meth:`release`.

        Raises:
            As :meth:`TenantPool.lease`, but for slots.
        """
        until = self._clock() + self._settings.server.slot_wait_seconds
        while True:
            replica = self._choose(self.entry(tenant))
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

    def release(self, replica: Replica) -> None:
        """Take one use back."""
        replica.users -= 1
        if not replica.users:
            self._replicas.changed()

    def lost(self, replica: Replica) -> None:
        """Forget a replica that the model does not have."""
        if replica.phase is Phase.RESIDENT:
            log.warning(
                "model lost",
                extra={"tenant": replica.tenant, "device": replica.device.index},
            )
            self._replicas.remove(replica)
            self.lost_tenants.add(replica.tenant)

    def _choose(self, entry: Entry) -> Replica | None:
        """Return where a request goes; begins a load where there is none. None: no device."""
        here = [one for one in self._replicas.of(entry.tenant) if one.device.usable]
        if here:
            if self._settings.gpus.allow_multi_gpu_models:
                self._spread(entry, here)
            return min(here, key=lambda one: (one.phase is not Phase.RESIDENT, one.device.busy))
        failure = self._usage.recent_failure(entry.tenant, self._clock())
        if failure:
            raise TenantLoadError(entry.tenant, failure)
        self._check_waiting()
        strategy = self._settings.gpus.assignment_strategy
        found = place(strategy, self._loads(), self._turn, entry.tenant, entry.preferred)
        if found is None:
            return None
        index, turn = found
        took_turn, self._turn = turn is not self._turn, turn

        def failed() -> None:
            if took_turn:
                self._turn = self._turn.give_back(index)

        return self._loader.load(entry, self._devices[index], failed)

    def _spread(self, entry: Entry, here: list[Replica]) -> None:
        """Begin a load on one more device when all that have the tenant are busy.

        The request that found them so still goes to one of them; later ones find the new one.
        """
        if any(one.phase is not Phase.RESIDENT for one in self._replicas.of(entry.tenant)):
            return  # one is coming already
        index = spread([one.device.index for one in here], self._loads(), entry.preferred)
        if index is not None:
            self._loader.load(entry, self._devices[index])

    def _loads(self) -> list[DeviceLoad]:
        counts = Counter(one.device.index for one in self._replicas)
        return [
            DeviceLoad(
                device=one.index,
                resident=counts[one.index],
                busy=one.busy,
                saturated=one.saturated,
                usable=one.usable,
            )
            for one in self._devices
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
            if self._clock() >= until:
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
        if sum(one.pending for one in self._devices) >= self._settings.loading_calls:
            raise DevicesBusyError(retry_after=RETRY_AFTER)

    async def _device_back(self, until: float) -> None:
        """Wait until a device is usable again.

        Raises:
            UnavailableError: none is in time, or none is being repaired.
        """
        while not any(one.usable for one in self._devices):
            coming = any(one.model.state == "loading" for one in self._devices)
            if not coming or self._clock() >= until:
                raise UnavailableError(retry_after=RETRY_AFTER)
            await asyncio.sleep(LOOK)


async def ended(replica: Replica) -> None:
    """Wait until a replica is loaded or gone; a cancelled caller leaves the move alone."""
    if replica.task:
        await asyncio.wait({replica.task})
