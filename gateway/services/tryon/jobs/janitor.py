"""The periodic duties around the jobs: take over, time out, expire, count."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path

from gateway.services.tryon.jobs.events import JobEvents
from gateway.services.tryon.jobs.files import JobFiles, sweep_folders
from gateway.services.tryon.jobs.liveness import WorkerLock
from gateway.services.tryon.jobs.metrics import JobMetrics
from gateway.services.tryon.jobs.models import Held, JobError, Outcome
from gateway.services.tryon.jobs.retry import RetryPolicy
from gateway.services.tryon.jobs.room import Room
from gateway.services.tryon.jobs.slot import Slot
from gateway.services.tryon.jobs.steady_clock import SteadyClock
from gateway.services.tryon.jobs.store import JobStore, StoreError
from gateway.settings.tryon_jobs import JobSettings
from gateway.sightings import Sightings
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
RARE_SECONDS = 30.0  # between rounds of what is not urgent
UPLOAD_SECONDS = 3600.0  # after which an upload that became no job is left over


class Janitor:
    """Keeps the store in order, beside other gateways that do the same.

    Args:
        store: the jobs.
        files: their files.
        incoming: folder of uploads.
        owner: this process.
        slot: learns how many jobs wait.
        plan: makes the callbacks of jobs that timed out.
        settings: times.
        node: name of this node.
        metrics: learns the counts.
        changes: told of jobs that timed out.
        wake: called when there may be something to do for dispatcher and delivery_worker.
        clock: of the jobs.
        attempt_seconds: how long an attempt of a callback takes at the most.
        room: on the disk.
        working: ids of the jobs in work in this process, whose leases it need not doubt.
    """

    def __init__(
        self,
        store: JobStore,
        files: JobFiles,
        incoming: Path,
        owner: WorkerLock,
        slot: Slot,
        plan: RetryPolicy,
        settings: JobSettings,
        node: str,
        metrics: JobMetrics,
        changes: JobEvents,
        wake: Callable[[], None],
        clock: SteadyClock,
        attempt_seconds: float,
        room: Room,
        working: Callable[[], Collection[str]],
    ) -> None:
        self._store, self._files, self._incoming = store, files, incoming
        self._owner, self._slot, self._plan = owner, slot, plan
        self._settings, self._node = settings, node
        self._metrics, self._changes, self._wake = metrics, changes, wake
        self._clock, self._attempt_seconds, self._room = clock, attempt_seconds, room
        self._working = working
        self._leases = Sightings(settings.lease_seconds / 2 + 2 * settings.poll_seconds)
        self._uploads = Sightings()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over what this node's predecessor left, and begin the rounds.

        Raises:
            StoreError: the database fails.
        """
        await self.round()
        self._task = asyncio.create_task(self._rounds(), name="job-janitor")

    async def stop(self) -> None:
        """End the rounds."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> None:
        """Do what is urgent."""
        self._clock.look()
        await self._take_over()
        now = self._clock()
        for job in await self._store.overdue(now):
            failed = Outcome("failed", now, error=JobError("timeout"))
            deliveries = self._plan.deliveries(job.id, now)
            ttl = self._settings.result_ttl_seconds
            if await self._store.finish(job, failed, deliveries, ttl):
                self._metrics.failed("timeout")
                self._changes.tell(job.id)
                self._wake()
        await self.count()

    async def _take_over(self) -> None:
        """Free what those held who have died, or have not been heard of for a lease."""
        held = await self._store.held()
        dead = self._owner.dead({one.owner for one in held})
        ages = self._leases.ages(held)
        lost = [
            one for one in held
            if one.owner in dead or (ages[one] > self._lease(one) and not self._here(one))
        ]  # fmt: skip
        if not lost:
            return
        if freed := await self._store.take_over(lost):
            log.warning("jobs taken over from a gateway that died", extra={"jobs": freed})
        self._wake()

    def _here(self, one: Held) -> bool:
        """Whether it is in work in this process, even if that cannot be written down."""
        mine = one.owner == self._owner.name and one.destination is None
        return mine and one.job_id in self._working()

    def _lease(self, one: Held) -> float:
        attempt = 0.0 if one.destination is None else self._attempt_seconds
        return self._settings.lease_seconds + attempt

    async def count(self) -> None:
        """Count what waits, for admission and metrics."""
        self._metrics.counts = await self._store.counts()
        self._metrics.pending = await self._store.pending()
        self._slot.queued = await self._store.queued(self._node)
        self._slot.changed()
        self._metrics.disk = await self._room.measure()

    async def rare_round(self) -> None:
        """Do what is not urgent: delete what has had its time."""
        now = self._clock()
        for folder in await self._store.expire(now):
            await self._files.remove(folder)
        await self._store.forget(now - self._settings.record_ttl_seconds)
        await self._files.sweep(await self._store.folders(), UPLOAD_SECONDS)
        await asyncio.to_thread(sweep_folders, self._incoming, (), self._uploads, UPLOAD_SECONDS)
        self._owner.tidy({one.owner for one in await self._store.held()})

    async def _rounds(self) -> None:
        rare = 0.0
        while True:
            try:
                if time.monotonic() >= rare:
                    rare = time.monotonic() + RARE_SECONDS
                    await self.rare_round()
                await asyncio.sleep(self._settings.poll_seconds)
                await self.round()
            except (StoreError, OSError) as error:
                log.error("job janitor failed", extra=where(error))
                await asyncio.sleep(self._settings.poll_seconds)
            except Exception as error:  # it must outlive its bugs
                log.error("job janitor broke", extra=where(error))
                await asyncio.sleep(self._settings.poll_seconds)
