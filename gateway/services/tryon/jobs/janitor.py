"""The periodic duties around the jobs: take over, time out, expire, count."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.services.tryon.jobs.context import JobContext
from gateway.services.tryon.jobs.database import StoreError
from gateway.services.tryon.jobs.files import sweep_folders
from gateway.services.tryon.jobs.models import Held, JobError, Outcome
from gateway.sightings import Sightings
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
RARE_SECONDS = 30.0  # between rounds of what is not urgent
UPLOAD_SECONDS = 3600.0  # after which an upload that became no job is left over


class Janitor:
    """Keeps the store in order, beside other gateways that do the same."""

    def __init__(self, jobs: JobContext) -> None:
        self._jobs, self._settings = jobs, jobs.settings.jobs
        settings = self._settings
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
        self._jobs.clock.look()
        await self._take_over()
        now = self._jobs.clock()
        for job in await self._jobs.store.overdue(now):
            failed = Outcome("failed", now, error=JobError("timeout"))
            deliveries = self._jobs.retries.deliveries(job.id, now)
            ttl = self._settings.result_ttl_seconds
            if await self._jobs.store.finish(job, failed, deliveries, ttl):
                self._jobs.metrics.failed("timeout")
                self._jobs.events.tell(job.id)
                self._wake()
        await self.count()

    async def _take_over(self) -> None:
        """Free what those held who have died, or have not been heard of for a lease."""
        held = await self._jobs.store.held()
        dead = self._jobs.worker.dead({claim.owner for claim in held})
        ages = self._leases.ages(held)
        lost = [
            claim for claim in held
            if claim.owner in dead or (ages[claim] > self._lease(claim) and not self._here(claim))
        ]  # fmt: skip
        if not lost:
            return
        if freed := await self._jobs.store.take_over(lost):
            log.warning("jobs taken over from a gateway that died", extra={"jobs": freed})
        self._wake()

    def _wake(self) -> None:
        self._jobs.job_waits.set()
        self._jobs.callback_due.set()

    def _here(self, job: Held) -> bool:
        """Whether it is in work in this process, even if that cannot be written down."""
        mine = job.owner == self._jobs.worker.name and job.destination is None
        return mine and job.job_id in self._jobs.progress

    def _lease(self, job: Held) -> float:
        attempt = 0.0 if job.destination is None else self._jobs.attempt_seconds
        return self._settings.lease_seconds + attempt

    async def count(self) -> None:
        """Count what waits, for admission and metrics."""
        self._jobs.metrics.counts = await self._jobs.store.counts()
        self._jobs.metrics.pending = await self._jobs.store.pending()
        self._jobs.slot.queued = await self._jobs.store.queued(self._jobs.node)
        self._jobs.slot.changed()
        self._jobs.metrics.disk = await self._jobs.room.measure()

    async def rare_round(self) -> None:
        """Do what is not urgent: delete what has had its time."""
        now = self._jobs.clock()
        for folder in await self._jobs.store.expire(now):
            await self._jobs.files.remove(folder)
        await self._jobs.store.forget(now - self._settings.record_ttl_seconds)
        await self._jobs.files.sweep(await self._jobs.store.folders(), UPLOAD_SECONDS)
        await asyncio.to_thread(
            sweep_folders, self._jobs.incoming, (), self._uploads, UPLOAD_SECONDS
        )
        self._jobs.worker.tidy({claim.owner for claim in await self._jobs.store.held()})

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
