"""Brings tenants in and takes them out: room is made first, and nothing in use is moved."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.errors import GatewayError, UnavailableError
from gateway.health.monitor import HealthMonitor
from gateway.services.lipsync.tenants import eviction
from gateway.services.lipsync.tenants.catalogue import TenantEntry
from gateway.services.lipsync.tenants.device import Device, TenantLoadError
from gateway.services.lipsync.tenants.eviction import Limits
from gateway.services.lipsync.tenants.metrics import PoolMetrics
from gateway.services.lipsync.tenants.replicas import Phase, Replica, ReplicaTable, UsageStats
from gateway.services.lipsync.tenants.source import stamp_of
from gateway.settings.lipsync import LipsyncSettings

log = logging.getLogger(__name__)
GIB = 2**30
NEVER = "failed to evict model: the limits and the pinned models leave no room for it"
ALL_IN_USE = "failed to evict model: every resident model is in use"


class TenantLoader:
    """Loads and unloads; the only code that changes what is resident.

    Args:
        settings: limits.
        monitor: told of a model that does not answer.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        replicas: ReplicaTable,
        usage: UsageStats,
        settings: LipsyncSettings,
        monitor: HealthMonitor,
        metrics: PoolMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replicas = replicas
        self._usage = usage
        self._monitor = monitor
        self._metrics = metrics
        self._clock = clock
        self._patience = settings.server.slot_wait_seconds
        self._limits = limits_of(settings)
        self._tasks: set[asyncio.Task[None]] = set()

    def load(
        self, entry: TenantEntry, device: Device, failed: Callable[[], None] = lambda: None
    ) -> Replica:
        """Begin to load a tenant that is not on ``device``; the replica's task ends with it.

        The task raises what :meth:`Commands.load` raises, after ``failed`` was called.
        """
        replica = Replica(entry, device)
        self._replicas.add(replica)
        replica.task = self._spawn(self._load(replica, failed))
        return replica

    def unload(self, replica: Replica, reason: str) -> asyncio.Task[None]:
        """Begin to take a resident tenant out, as soon as nobody uses it.

        From now on it serves no new request here. ``reason`` is for the log and the metrics:
        ``capacity``, ``idle``, ``request``, ``removed`` or ``leftover``.
        """
        replica.phase = Phase.LEAVING
        replica.task = self._spawn(self._unload(replica, reason))
        return replica.task

    async def reload(self, replica: Replica, entry: TenantEntry) -> None:
        """Replace the weights of a resident tenant; requests under way finish on the old ones.

        Raises:
            TenantLoadError: the file is bad; the old weights stay.
            GatewayError: the model does not answer.
        """
        replica.users += 1
        try:
            async with replica.reloading, replica.device.loads:
                replica.entry = entry
                await self._ask_to_load(replica, force=True)
        finally:
            replica.users -= 1
            self._replicas.changed()
        self.shrink()

    def shrink(self) -> None:
        """Take out whoever is too many for the limits, measured by what loads really took."""
        if self._limits.memory_bytes is None and self._limits.device_memory_bytes is None:
            return  # the number is kept by making room before each load
        decision = self._decide(None, leaving=False)
        for resident in decision.evict:
            self._evict(resident)

    async def close(self) -> None:
        """End all moves."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _load(self, replica: Replica, failed: Callable[[], None]) -> None:
        tenant, device = replica.tenant, replica.device
        try:
            await self._make_room(replica)
            async with device.loads:
                await self._ask_to_load(replica, force=False)
        except BaseException as error:
            failed()
            self._replicas.remove(replica)
            if isinstance(error, UnavailableError):
                self._monitor.failed(device.model, error)
            self._metrics.loads.labels(str(device.index), "failed").inc()
            log.warning("model not loaded", extra={"tenant": tenant, "device": device.index})
            raise
        replica.phase = Phase.RESIDENT
        self._replicas.changed()
        self.shrink()

    async def _ask_to_load(self, replica: Replica, *, force: bool) -> None:
        entry, device = replica.entry, replica.device
        begin = self._clock()
        try:
            replica.stamp = await asyncio.to_thread(stamp_of, entry.file)
            report = await device.commands.load(entry, force=force)
        except TenantLoadError as error:
            self._usage.failed(entry.tenant, error.cause, self._clock())
            raise
        except GatewayError:
            self._usage.failed(entry.tenant, "the device did not answer", 0.0)
            raise
        replica.memory_bytes, replica.loaded = report.memory_bytes, self._clock()
        self._usage.loaded(entry.tenant, report.memory_bytes, report.graph)
        seconds = replica.loaded - begin
        self._metrics.loads.labels(str(device.index), "loaded").inc()
        self._metrics.load_seconds.labels(str(device.index)).observe(seconds)
        log.info(
            "model loaded",
            extra={
                "tenant": entry.tenant,
                "device": device.index,
                "load_ms": round(seconds * 1000, 1),
                "memory_bytes": report.memory_bytes,
                "imported": report.imported,
            },
        )

    async def _unload(self, replica: Replica, reason: str) -> None:
        tenant, device = replica.tenant, replica.device
        words = "evicting model" if reason == "capacity" else "unloading model"
        log.info(words, extra={"tenant": tenant, "device": device.index, "reason": reason})
        try:
            while replica.users:
                await self._replicas.change(None)
            await device.commands.unload(tenant)
        except GatewayError as error:
            # A model that does not answer is loaded anew, without tenants; one that merely was
            # slow keeps a tenant that the next survey finds and takes out.
            log.warning("unload failed", extra={"tenant": tenant, "reason": error.reason})
        finally:
            self._metrics.unloads.labels(str(device.index), reason).inc()
            self._replicas.remove(replica)

    async def _make_room(self, replica: Replica) -> None:
        """Wait until the limits allow one more, evicting who has to leave; then take the place.

        Raises:
            TenantLoadError: nobody may leave.
        """
        until = self._clock() + self._patience
        while not self._fits(replica):
            decision = self._decide(replica, leaving=False)
            if decision.verdict == "never":
                raise TenantLoadError(replica.tenant, NEVER)
            for resident in decision.evict:
                self._evict(resident)
            if not await self._replicas.change(max(0.0, until - self._clock())):
                raise TenantLoadError(replica.tenant, ALL_IN_USE)
        self._replicas.reserve(replica)

    def _fits(self, replica: Replica) -> bool:
        limits = self._limits
        if limits.memory_bytes is None and limits.device_memory_bytes is None:
            return self._replicas.taking_room < limits.max_models
        decision = self._decide(replica, leaving=True)
        return decision.verdict == "room" and not decision.evict

    def _decide(self, replica: Replica | None, *, leaving: bool) -> eviction.Decision:
        now = self._clock()
        expected = 0
        if replica:
            expected = self._usage.expected_bytes(replica.tenant)
            replica.memory_bytes = expected
        snapshot = self._replicas.snapshot(self._usage, now, leaving=leaving)
        device = replica.device.index if replica else None
        return eviction.decide(snapshot, device, expected, self._limits, now)

    def _evict(self, resident: eviction.Resident) -> None:
        victim = self._replicas.find(resident)
        if victim and victim.phase is Phase.RESIDENT and not victim.users:
            self.unload(victim, "capacity")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who waited for it has raised it; perhaps nobody did


def limits_of(settings: LipsyncSettings) -> Limits:
    """Return the bounds that the settings put on what is resident."""
    capacity, gpus = settings.capacity, settings.gpus
    return Limits(
        max_models=capacity.max_models,
        memory_bytes=round(capacity.max_memory_gb * GIB) or None,
        device_memory_bytes=round(gpus.memory_gb_per_gpu * GIB) or None,
        policy=capacity.eviction_policy,
        min_residency=capacity.min_residency_seconds,
    )
