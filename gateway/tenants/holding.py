"""Finds or makes the residence a call goes to, and waits until it is loaded."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.errors import UnavailableError
from gateway.settings.lipsync import LipsyncSettings
from gateway.tenants.catalogue import Catalogue, Entry
from gateway.tenants.device import Device
from gateway.tenants.errors import DevicesBusyError, TenantLoadError, UnknownTenantError
from gateway.tenants.mover import Mover
from gateway.tenants.placement import DeviceLoad, Turn, place, spread
from gateway.tenants.residence import Phase, Residence, Residences
from gateway.tenants.usage import Ledger
from gateway.triton.status import RETRY_AFTER

log = logging.getLogger(__name__)
LOOK = 0.05  # seconds between looks whether a device is back


class Holding:
    """Holds tenants for calls, placing and loading those that are nowhere.

    Args:
        settings: strategies and bounds.
        devices: by index.
        residences: what is where.
        ledger: knows of failed loads.
        mover: loads.
        clock: monotonic seconds.

    Attributes:
        catalogue: which tenants there are.
        lost_tenants: tenants that a model turned out not to have, for the keeper.
    """

    def __init__(
        self,
        settings: LipsyncSettings,
        devices: Sequence[Device],
        residences: Residences,
        ledger: Ledger,
        mover: Mover,
        clock: Callable[[], float],
    ) -> None:
        self.catalogue = Catalogue()
        self.lost_tenants: set[str] = set()
        self._settings = settings
        self._devices = tuple(devices)
        self._residences = residences
        self._ledger = ledger
        self._mover = mover
        self._clock = clock
        self._turn = Turn()

    def entry(self, tenant: str) -> Entry:
        """Return a tenant's entry.

        Raises:
            UnknownTenantError: no such tenant.
        """
        entry = self.catalogue.get(tenant)
        if entry is None:
            raise UnknownTenantError(tenant)
        return entry

    async def hold(self, tenant: str) -> Residence:
        """Return a residence that is loaded, in use by the caller until :meth:`release`.

        Raises:
            As :meth:`TenantPool.lease`, but for slots.
        """
        until = self._clock() + self._settings.server.slot_wait_seconds
        while True:
            residence = self._choose(self.entry(tenant))
            if residence is None:
                await self._device_back(until)
            elif residence.phase is Phase.RESIDENT:
                residence.users += 1
                return residence
            elif residence.phase is Phase.LEAVING:
                with self._waiting(residence.device):
                    await ended(residence)
            elif await self._loaded(residence, until):
                return residence

    def release(self, residence: Residence) -> None:
        """Take one use back."""
        residence.users -= 1
        if not residence.users:
            self._residences.changed()

    def lost(self, residence: Residence) -> None:
        """Forget a residence that the model does not have."""
        if residence.phase is Phase.RESIDENT:
            log.warning(
                "model lost",
                extra={"tenant": residence.tenant, "device": residence.device.index},
            )
            self._residences.remove(residence)
            self.lost_tenants.add(residence.tenant)

    def _choose(self, entry: Entry) -> Residence | None:
        """Return where a request goes; begins a load where there is none. None: no device."""
        here = [one for one in self._residences.of(entry.tenant) if one.device.usable]
        if here:
            if self._settings.gpus.allow_multi_gpu_models:
                self._spread(entry, here)
            return min(here, key=lambda one: (one.phase is not Phase.RESIDENT, one.device.busy))
        failure = self._ledger.recent_failure(entry.tenant, self._clock())
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

        return self._mover.load(entry, self._devices[index], failed)

    def _spread(self, entry: Entry, here: list[Residence]) -> None:
        """Begin a load on one more device when all that have the tenant are busy.

        The request that found them so still goes to one of them; later ones find the new one.
        """
        if any(one.phase is not Phase.RESIDENT for one in self._residences.of(entry.tenant)):
            return  # one is coming already
        index = spread([one.device.index for one in here], self._loads(), entry.preferred)
        if index is not None:
            self._mover.load(entry, self._devices[index])

    def _loads(self) -> list[DeviceLoad]:
        counts = Counter(one.device.index for one in self._residences)
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

    async def _loaded(self, residence: Residence, until: float) -> bool:
        """Wait for a load as a user of the residence; False when the device failed meanwhile."""
        residence.users += 1
        load = residence.task  # an unload may follow it at once, but waits for this user
        try:
            with self._waiting(residence.device):
                await ended(residence)
            if load:
                load.result()
        except UnavailableError:
            self.release(residence)
            if self._clock() >= until:
                raise
            await asyncio.sleep(LOOK)
            return False
        except BaseException:
            self.release(residence)
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


async def ended(residence: Residence) -> None:
    """Wait until a residence is loaded or gone; a cancelled caller leaves the move alone."""
    if residence.task:
        await asyncio.wait({residence.task})
