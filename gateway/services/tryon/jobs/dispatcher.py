"""Feeds the model: one job after the other, with nothing between them that can wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from gateway.errors import BusyError, GatewayError
from gateway.services.tryon.jobs.events import JobEvents, wait_for_event
from gateway.services.tryon.jobs.files import COMPARISON, GARMENT, PERSON, JobFiles
from gateway.services.tryon.jobs.inference import Inputs, TryOn, TryOnModel
from gateway.services.tryon.jobs.metrics import JobMetrics
from gateway.services.tryon.jobs.models import Job, Outcome
from gateway.services.tryon.jobs.outcome import Lost, RunOutcome, code_of, outcome_of
from gateway.services.tryon.jobs.retry import RetryPolicy
from gateway.services.tryon.jobs.slot import Slot
from gateway.services.tryon.jobs.store import JobStore, StoreError
from gateway.settings.tryon_jobs import JobSettings
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
STORE_PAUSE = 1.0  # seconds before a database that failed is asked again


class Dispatcher:
    """Takes jobs from the store into the model.

    The model is free as soon as its last response is there: while the result is written down and
    delivered, the next job already runs.

    Attributes:
        progress: fraction and step of the jobs in work here, by id.
        draining: whether no further job is taken.
        finished: called when a job's end has been written down.

    Args:
        store: the jobs.
        files: their inputs and results.
        model: runs the workflow.
        slot: shared with direct requests.
        plan: makes the callbacks of a job that has ended.
        settings: queue, deadline, lease.
        node: name of this node.
        owner: name of this process.
        ready: whether the model can take work.
        failed: told of each failed run, for the health monitor.
        metrics: counts and times.
        changes: told of progress.
        clock: seconds since the epoch, of the jobs.
    """

    def __init__(
        self,
        store: JobStore,
        files: JobFiles,
        model: TryOnModel,
        slot: Slot,
        plan: RetryPolicy,
        settings: JobSettings,
        node: str,
        owner: str,
        ready: Callable[[], bool],
        failed: Callable[[GatewayError], None],
        metrics: JobMetrics,
        changes: JobEvents,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._files, self._model = store, files, model
        self._slot, self._plan, self._settings = slot, plan, settings
        self._node, self._owner = node, owner
        self._ready, self._failed = ready, failed
        self._metrics, self._changes, self._clock = metrics, changes, clock
        self.progress: dict[str, tuple[float, str | None]] = {}
        self.finished: Callable[[], None] = lambda: None
        self._runs: dict[str, asyncio.Task[TryOn]] = {}
        self._cancelled: set[str] = set()
        self._unwritten: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self.draining = False

    def start(self) -> None:
        """Begin to take jobs."""
        self._loops = [
            asyncio.create_task(self._dispatch(), name="job-dispatcher"),
            asyncio.create_task(self._renew(), name="job-leases"),
        ]

    def wake(self) -> None:
        """Look for a job now."""
        self._wake.set()

    @property
    def settling(self) -> int:
        """Jobs that are out of the model, but whose end is not written down yet."""
        return len(self.progress) - len(self._runs)

    def cancel(self, job_id: str) -> None:
        """Cancel a job in work here; the model stops before its next step."""
        if job_id in self._runs:
            self._cancelled.add(job_id)
            self._runs[job_id].cancel()

    async def direct(self, identifier: str, inputs: Inputs, timeout: float) -> TryOn:
        """Run without a job, for a client that waits.

        Raises:
            BusyError: the model is taken, or jobs wait for it.
            StoreError: the database fails.
            GatewayError: see :meth:`TryOnModel.run`.
        """
        async with self._slot.gate:
            if self._slot.queued:  # as last counted; whoever it counts may have run since
                self._slot.queued = await self._store.queued(self._node)
            if self._slot.current is not None or self._slot.queued or self.draining:
                self._slot.reject("busy")
                raise BusyError
            self._slot.take(identifier)
        try:
            made = await self._model.run(inputs, timeout, lambda fraction, step: None)
        except GatewayError as error:
            self._failed(error)
            self._metrics.failed(code_of(error))
            raise
        except asyncio.CancelledError:
            self._metrics.failed("cancelled")
            raise
        finally:
            self._slot.free()
            self._wake.set()
        self._metrics.ran(made.report)
        return made

    async def drain(self, seconds: float) -> None:
        """Take no further job and wait for the one in work."""
        self.draining = True
        if runs := list(self._runs.values()):
            await asyncio.wait(runs, timeout=seconds)

    async def stop(self) -> None:
        """End; a job still in work goes back into the queue."""
        self.draining = True
        for run in self._runs.values():
            run.cancel()
        while pending := [*self._runs.values(), *self._background]:
            await asyncio.wait(pending)
            await asyncio.sleep(0)  # a run that has ended becomes a job to settle
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _dispatch(self) -> None:
        while True:
            worked, pause = False, self._settings.poll_seconds
            try:
                worked = self._may_take() and await self._next()
            except StoreError as error:
                log.error("job store failed", extra=where(error))
                pause = STORE_PAUSE
            except Exception as error:  # the queue must outlive its bugs
                log.error("dispatcher broke", extra=where(error))
                pause = STORE_PAUSE
            if not worked:
                await wait_for_event(self._wake, pause)

    def _may_take(self) -> bool:
        """Whether a job may begin: not while the end of another one cannot be written down."""
        return not self.draining and not self._unwritten and self._ready()

    async def _next(self) -> bool:
        async with self._slot.gate:
            if self._slot.current is not None:
                return False
            now = self._clock()
            lease = self._settings.lease_seconds
            job = await self._store.claim(self._node, self._owner, lease, now)
            if job is None:
                return False
            waited = min(now - job.created, time.monotonic() - self._slot.freed)
            self._metrics.idle.observe(max(0.0, waited))
            self._slot.queued = max(0, self._slot.queued - 1)
            self._slot.take(job.id)
        self.progress[job.id] = (0.0, None)
        run = self._runs[job.id] = asyncio.ensure_future(self._run(job))
        self._changes.tell(job.id)
        try:
            await asyncio.wait({run})
        finally:
            del self._runs[job.id]
            self._tell_health(run)
            self._slot.free()
            self._spawn(self._settle(job, run, self._clock()))
        return True

    async def _run(self, job: Job) -> TryOn:
        if job.cancelling:
            self._cancelled.add(job.id)
            raise asyncio.CancelledError
        if job.attempts > self._settings.attempts:
            raise Lost
        person = await self._files.read(job.folder, PERSON)
        garment = await self._files.read(job.folder, GARMENT)
        if person is None or garment is None:
            raise Lost
        options = {**job.options, "job_id": job.id}
        timeout = max(0.001, job.deadline - self._clock())

        def tell(fraction: float, step: str | None) -> None:
            self.progress[job.id] = (fraction, step)
            self._changes.tell(job.id)

        return await self._model.run(Inputs(person, garment, options), timeout, tell)

    def _tell_health(self, run: asyncio.Task[TryOn]) -> None:
        """Report a failure before the next job is taken: a model that is down gets none."""
        error = None if not run.done() or run.cancelled() else run.exception()
        if isinstance(error, GatewayError):
            self._failed(error)

    async def _settle(self, job: Job, run: asyncio.Task[TryOn], finished: float) -> None:
        """Write down how a run ended, as long as the database needs."""
        cancelled = job.id in self._cancelled
        ending = outcome_of(run, cancelled, final=job.attempts >= self._settings.attempts)
        while True:
            try:
                await self._write(job, ending, finished)
                break
            except (StoreError, OSError) as error:
                log.error("end of a job not written", extra=where(error))
                self._unwritten.add(job.id)
                if self.draining:
                    break
                await asyncio.sleep(STORE_PAUSE)
        self._cancelled.discard(job.id)
        self._unwritten.discard(job.id)
        self.progress.pop(job.id, None)
        self._changes.tell(job.id)
        self.finished()
        self._wake.set()

    async def _write(self, job: Job, ending: RunOutcome, finished: float) -> None:
        if ending.again is not None:
            await self._store.release(job, counted=ending.again)
            return
        outcome = Outcome(ending.state, finished, error=ending.reason)
        if ending.made:
            name = f"result-{job.attempts}"  # of this attempt: a late other one spoils nothing
            await self._files.write(job.folder, name, ending.made.image)
            if ending.made.comparison:
                await self._files.write(job.folder, COMPARISON, ending.made.comparison)
            outcome = replace(
                outcome, result=name, content_type=ending.made.content_type,
                report=ending.made.report,
            )  # fmt: skip
        deliveries = self._plan.deliveries(job.id, finished)
        ttl = self._settings.result_ttl_seconds
        if not await self._store.finish(job, outcome, deliveries, ttl):
            log.warning("a job had passed to another gateway")
        elif ending.made:
            self._metrics.ran(ending.made.report)
        elif ending.reason:
            self._metrics.failed(ending.reason.code)

    async def _renew(self) -> None:
        pause = min(self._settings.poll_seconds, self._settings.lease_seconds / 3)
        renewed = 0.0
        while True:
            await asyncio.sleep(pause)
            if not self.progress:
                continue
            try:
                for job_id in await self._store.to_cancel(self._owner):
                    self.cancel(job_id)
                if time.monotonic() - renewed >= self._settings.lease_seconds / 3:
                    lease = self._settings.lease_seconds
                    await self._store.renew(self._owner, lease, dict(self.progress))
                    renewed = time.monotonic()
            except StoreError as error:
                log.error("leases not renewed", extra=where(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
