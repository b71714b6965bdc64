"""Rounds in the background: the catalogue's files, idle tenants, what the devices really have."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.errors import BusyError, GatewayError, UnavailableError
from gateway.services.lipsync.tenants import eviction
from gateway.services.lipsync.tenants.device import LOADS
from gateway.services.lipsync.tenants.pool import TenantPool
from gateway.services.lipsync.tenants.replicas import Phase, Replica
from gateway.services.lipsync.tenants.source import CatalogueSource, Stamp, stamp_of
from gateway.settings.lipsync import LipsyncSettings
from gateway.telemetry.gpu import GpuSampler
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
ROUND = 1.0  # seconds between looks at the catalogue's files and at idle tenants
SURVEY_EVERY = 5  # rounds
UTILIZATION_EVERY = 60  # rounds
SURVEY_TIMEOUT = 5.0  # seconds


class Reconciler:
    """Keeps the pool in step with the world.

    Args:
        pool: what is kept.
        source: where its catalogue comes from.
        clock: monotonic seconds, the pool's.
    """

    def __init__(
        self,
        pool: TenantPool,
        source: CatalogueSource,
        settings: LipsyncSettings,
        gpus: GpuSampler,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._source = source
        self._settings = settings
        self._gpus = gpus
        self._clock = clock
        self._force = False
        self._preloads = asyncio.Semaphore(LOADS * len(pool.devices))
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._preloaded: set[str] = set()

    async def start(self) -> None:
        """Read the catalogue, then begin the rounds."""
        self._pool.adopt(await asyncio.to_thread(self._source.look))
        self._task = asyncio.create_task(self._run(), name="tenant-reconciler")

    async def stop(self) -> None:
        """End the rounds."""
        tasks = [*self._loading.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reload(self) -> None:
        """Read the configuration again now."""
        self._force = True
        self._wake.set()

    async def _run(self) -> None:
        number = 0
        while True:
            waiting = asyncio.ensure_future(self._wake.wait())
            await asyncio.wait({waiting}, timeout=ROUND)
            waiting.cancel()
            self._wake.clear()
            try:
                await self._round(number)
            except GatewayError as error:
                log.warning("survey failed", extra={"reason": error.reason})
            except Exception as error:  # the reconciler must outlive its bugs
                log.error("round of the tenants broke", extra=where(error))
            number += 1

    async def _round(self, number: int) -> None:
        force, self._force = self._force, False
        self._pool.adopt(await asyncio.to_thread(self._source.look, force=force))
        self._preload()
        self._unload_idle()
        self._pool.loader.shrink()
        if number % 2 == 0:
            await self._reload_changed()
        if number % SURVEY_EVERY == 0:
            usable = [device for device in self._pool.devices if device.usable]
            await asyncio.gather(*(self._pool.survey(device, SURVEY_TIMEOUT) for device in usable))
        if self._settings.logging.log_gpu_utilization and number % UTILIZATION_EVERY == 0:
            self._log_utilization()

    def _preload(self) -> None:
        """Begin the loads of preloaded tenants, once a device is there for them."""
        if not any(device.usable for device in self._pool.devices):
            return
        wanted = {entry.tenant for entry in self._pool.catalogue if entry.preload}
        self._preloaded &= wanted - self._pool.take_lost()
        for tenant in sorted(wanted - self._preloaded):
            self._preloaded.add(tenant)
            self._begin(tenant, self._load(tenant))

    def _unload_idle(self) -> None:
        minutes = self._settings.capacity.idle_timeout_minutes
        now = self._clock()
        residents = self._pool.replicas.snapshot(self._pool.usage, now, leaving=False)
        for resident in eviction.idle(residents, now, minutes * 60 or None):
            if replica := self._pool.replicas.find(resident):
                self._pool.loader.unload(replica, "idle")

    async def _reload_changed(self) -> None:
        """Replace the weights of residents whose file has been replaced and is complete."""
        residents = [replica for replica in self._pool.replicas if replica.phase is Phase.RESIDENT]
        stamps = await asyncio.to_thread(_stamps, residents)
        for replica, stamp in zip(residents, stamps, strict=True):
            changed = stamp is not None and replica.stamp not in (None, stamp)
            if not changed or replica.phase is not Phase.RESIDENT:
                continue
            if self._settled(stamp) and (entry := self._pool.catalogue.get(replica.tenant)):
                replica.stamp = stamp  # a bad file is tried once
                self._begin(replica.tenant, self._reload(replica, entry.tenant))

    @staticmethod
    def _settled(stamp: Stamp | None) -> bool:
        return stamp is not None and time.time() - stamp.mtime_ns / 1e9 >= 2 * ROUND

    def _begin(self, tenant: str, work: Coroutine[Any, Any, None]) -> None:
        if tenant in self._loading:
            work.close()
            return
        task = asyncio.create_task(work)
        self._loading[tenant] = task
        task.add_done_callback(lambda _: self._loading.pop(tenant, None))

    async def _load(self, tenant: str) -> None:
        async with self._preloads:
            try:
                await self._pool.load(tenant)
            except GatewayError as error:
                log.warning("model not preloaded", extra={"tenant": tenant, "reason": error.reason})
                if isinstance(error, (BusyError, UnavailableError)):
                    await asyncio.sleep(ROUND)
                    self._preloaded.discard(tenant)

    async def _reload(self, replica: Replica, tenant: str) -> None:
        log.info("model file changed", extra={"tenant": tenant})
        try:
            await self._pool.load(tenant, force=True)
        except GatewayError as error:
            log.warning(
                "changed model not loaded", extra={"tenant": tenant, "reason": error.reason}
            )

    def _log_utilization(self) -> None:
        for row, history in zip(self._pool.device_rows(), self._gpus.histories(1), strict=False):
            sample = history.samples[-1] if history.samples else None
            log.info(
                "device",
                extra={
                    "device": row.device,
                    "engine": row.engine,
                    "resident": row.resident,
                    "resident_bytes": row.resident_bytes,
                    "gpu_util": sample.gpu_util if sample and row.cuda else None,
                    "memory_used_bytes": row.memory_used_bytes,
                },
            )


def _stamps(residents: list[Replica]) -> list[Stamp | None]:
    return [stamp_of(resident.entry.file) for resident in residents]
