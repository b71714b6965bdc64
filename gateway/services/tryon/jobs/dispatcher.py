"""Feeds the model: one job after the other, with nothing between them that can wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from gateway.errors import BusyError, GatewayError
from gateway.services.tryon.jobs.context import JobContext
from gateway.services.tryon.jobs.database import StoreError
from gateway.services.tryon.jobs.events import wait_for_event
from gateway.services.tryon.jobs.files import COMPARISON, GARMENT, PERSON, sample_name
from gateway.services.tryon.jobs.inference import Inputs, TryOn, TryOnModel
from gateway.services.tryon.jobs.models import Job, Outcome
from gateway.services.tryon.jobs.outcome import Lost, RunOutcome, code_of, outcome_of
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
STORE_PAUSE = 1.0  # seconds before a database that failed is asked again


class Dispatcher:
    """Takes jobs from the store into the model.

    The model is free as soon as its last response is there: while the result is written down and
    delivered, the next job already runs.

    Attributes:
        draining: whether no further job is taken.

    Args:
        ready: whether the model can take work.
        failed: told of each failed run, for the health monitor.
    """

    def __init__(
        self,
        jobs: JobContext,
        model: TryOnModel,
        ready: Callable[[], bool],
        failed: Callable[[GatewayError], None],
    ) -> None:
        self._jobs, self._model, self._ready, self._failed = jobs, model, ready, failed
        self._settings = jobs.settings.jobs
        self._runs: dict[str, asyncio.Task[TryOn]] = {}
        self._cancelled: set[str] = set()
        self._unwritten: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self.draining = False

    def start(self) -> None:
        """Begin to take jobs."""
        self._loops = [
            asyncio.create_task(self._dispatch(), name="job-dispatcher"),
            asyncio.create_task(self._renew(), name="job-leases"),
        ]

    @property
    def settling(self) -> int:
        """Jobs that are out of the model, but whose end is not written down yet."""
        return len(self._jobs.progress) - len(self._runs)

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
        async with self._jobs.slot.gate:
            if self._jobs.slot.queued:  # as last counted; whoever it counts may have run since
                self._jobs.slot.queued = await self._jobs.store.queued(self._jobs.node)
            if self._jobs.slot.current is not None or self._jobs.slot.queued or self.draining:
                self._jobs.slot.reject("busy")
                raise BusyError
            self._jobs.slot.take(identifier)
        try:
            result = await self._model.run(inputs, timeout, lambda fraction, step: None)
        except GatewayError as error:
            self._failed(error)
            self._jobs.metrics.failed(code_of(error))
            raise
        except asyncio.CancelledError:
            self._jobs.metrics.failed("cancelled")
            raise
        finally:
            self._jobs.slot.free()
            self._jobs.job_waits.set()
        self._jobs.metrics.ran(result.report)
        return result

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
                await wait_for_event(self._jobs.job_waits, pause)

    def _may_take(self) -> bool:
        """Whether a job may begin: not while the end of another one cannot be written down."""
        return not self.draining and not self._unwritten and self._ready()

    async def _next(self) -> bool:
        async with self._jobs.slot.gate:
            if self._jobs.slot.current is not None:
                return False
            now = self._jobs.clock()
            lease = self._settings.lease_seconds
            job = await self._jobs.store.claim(self._jobs.node, self._jobs.worker.name, lease, now)
            if job is None:
                return False
            waited = min(now - job.created, time.monotonic() - self._jobs.slot.freed)
            self._jobs.metrics.idle.observe(max(0.0, waited))
            self._jobs.slot.queued = max(0, self._jobs.slot.queued - 1)
            self._jobs.slot.take(job.id)
        self._jobs.progress[job.id] = (0.0, None)
        run = self._runs[job.id] = asyncio.ensure_future(self._run(job))
        self._jobs.events.tell(job.id)
        try:
            await asyncio.wait({run})
        finally:
            del self._runs[job.id]
            self._tell_health(run)
            self._jobs.slot.free()
            self._spawn(self._settle(job, run, self._jobs.clock()))
        return True

    async def _run(self, job: Job) -> TryOn:
        if job.cancelling:
            self._cancelled.add(job.id)
            raise asyncio.CancelledError
        if job.attempts > self._settings.attempts:
            raise Lost
        person = await self._jobs.files.read(job.folder, PERSON)
        garment = await self._jobs.files.read(job.folder, GARMENT)
        if person is None or garment is None:
            raise Lost
        options = {**job.options, "job_id": job.id}
        timeout = max(0.001, job.deadline - self._jobs.clock())

        def tell(fraction: float, step: str | None) -> None:
            self._jobs.progress[job.id] = (fraction, step)
            self._jobs.events.tell(job.id)

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
        self._jobs.progress.pop(job.id, None)
        self._jobs.events.tell(job.id)
        self._jobs.callback_due.set()
        self._jobs.job_waits.set()

    async def _write(self, job: Job, ending: RunOutcome, finished: float) -> None:
        if ending.again is not None:
            await self._jobs.store.release(job, counted=ending.again)
            return
        outcome = Outcome(ending.state, finished, error=ending.reason)
        if ending.result:
            name = f"result-{job.attempts}"  # of this attempt: a late other one spoils nothing
            await self._jobs.files.write(job.folder, name, ending.result.image)
            for number, image in enumerate(ending.result.samples, start=2):
                await self._jobs.files.write(job.folder, sample_name(name, number), image)
            if ending.result.comparison:
                await self._jobs.files.write(job.folder, COMPARISON, ending.result.comparison)
            outcome = replace(
                outcome, result=name, content_type=ending.result.content_type,
                report={**ending.result.report, "num_samples": 1 + len(ending.result.samples)},
            )  # fmt: skip
        deliveries = self._jobs.retries.deliveries(job.id, finished)
        ttl = self._settings.result_ttl_seconds
        if not await self._jobs.store.finish(job, outcome, deliveries, ttl):
            log.warning("a job had passed to another gateway")
        elif ending.result:
            self._jobs.metrics.ran(ending.result.report)
        elif ending.reason:
            self._jobs.metrics.failed(ending.reason.code)

    async def _renew(self) -> None:
        pause = min(self._settings.poll_seconds, self._settings.lease_seconds / 3)
        renewed = 0.0
        while True:
            await asyncio.sleep(pause)
            if not self._jobs.progress:
                continue
            try:
                for job_id in await self._jobs.store.to_cancel(self._jobs.worker.name):
                    self.cancel(job_id)
                if time.monotonic() - renewed >= self._settings.lease_seconds / 3:
                    lease = self._settings.lease_seconds
                    await self._jobs.store.renew(
                        self._jobs.worker.name, lease, dict(self._jobs.progress)
                    )
                    renewed = time.monotonic()
            except StoreError as error:
                log.error("leases not renewed", extra=where(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
