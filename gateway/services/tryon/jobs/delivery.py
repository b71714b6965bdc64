"""Delivers results and notices until they are received or too old."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from gateway.services.tryon.jobs.context import JobContext
from gateway.services.tryon.jobs.database import StoreError
from gateway.services.tryon.jobs.events import wait_for_event
from gateway.services.tryon.jobs.files import sample_name
from gateway.services.tryon.jobs.messages import (
    Message,
    completion_message,
    result_event,
    result_message,
)
from gateway.services.tryon.jobs.models import DESTINATIONS, Delivery, Destination, Job
from gateway.services.tryon.jobs.webhook import Answer, Target, WebhookClient
from gateway.telemetry.log import where

log = logging.getLogger(__name__)
GONE = 410  # the receiver wants no more of it
STORE_PAUSE = 1.0  # seconds before a database that failed is asked again


class DeliveryWorker:
    """Takes callbacks that are due and makes one attempt of each, several at once.

    Each receiver has its own places: one that hangs does not hold up the other.

    Raises:
        ValueError: the file of authorities is unusable.
    """

    def __init__(self, jobs: JobContext) -> None:
        self._jobs, self._client = jobs, WebhookClient(jobs.settings.callbacks)
        self._asset, self._poll = jobs.settings.asset_service, jobs.settings.jobs.poll_seconds
        self._in_flight = jobs.settings.callbacks.in_flight
        self._lease = jobs.settings.jobs.lease_seconds + jobs.attempt_seconds
        self._tasks: dict[Destination, set[asyncio.Task[None]]] = {
            destination: set() for destination in DESTINATIONS
        }
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.create_task(self._run(), name="job-deliveries")

    async def stop(self) -> None:
        """End; attempts under way are abandoned and made again by the next gateway."""
        tasks = [task for group in self._tasks.values() for task in group]
        tasks += [self._loop] if self._loop else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def _run(self) -> None:
        while True:
            pause = self._poll
            try:
                pause = await self._round()
            except StoreError as error:
                log.error("callbacks not read", extra=where(error))
            except Exception as error:  # it must outlive its bugs
                log.error("delivery worker broke", extra=where(error))
            await wait_for_event(self._jobs.callback_due, pause)

    async def _round(self) -> float:
        """Start what is due; return the seconds until something else may be."""
        for destination, tasks in self._tasks.items():
            free = self._in_flight - len(tasks)
            if free == 0:
                continue
            now = self._jobs.clock()
            for delivery in await self._jobs.store.due(
                destination, self._jobs.worker.name, self._lease, now, free
            ):
                task = asyncio.ensure_future(self._deliver(delivery))
                tasks.add(task)
                task.add_done_callback(self._ended)
        idle = [name for name, tasks in self._tasks.items() if len(tasks) < self._in_flight]
        due = await self._jobs.store.next_due(idle)
        return self._poll if due is None else min(max(due - self._jobs.clock(), 0.01), self._poll)

    def _ended(self, task: asyncio.Task[None]) -> None:
        for tasks in self._tasks.values():
            tasks.discard(task)
        self._jobs.callback_due.set()

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            job = await self._jobs.store.get(delivery.job_id)
            target = self._jobs.targets.get(delivery.destination)
            if job is None:
                return
            begin = time.perf_counter()
            if target is None:  # no longer configured
                after = replace(delivery, state="skipped", next_attempt=None)
            else:
                answer = await self._attempt(job, target, delivery)
                after = self._after(delivery, answer)
                self._note(after, time.perf_counter() - begin)
            await self._write(after)
        except Exception as error:  # its lease ends, and it is tried again
            log.error("callback broke", extra=where(error))

    async def _attempt(self, job: Job, target: Target, delivery: Delivery) -> Answer:
        try:
            message = await self._message(job, delivery.destination)
        except StoreError:
            raise
        except Exception as error:  # a result that cannot be read is no reason to try for ever
            log.error("callback not made", extra=where(error))
            return Answer()
        return await self._client.send(target, message, delivery.event_id)

    async def _message(self, job: Job, destination: Destination) -> Message:
        if destination == "load_balancer":
            return completion_message(job)
        version = self._jobs.settings.model.model_version
        images = await self._pictures(job)
        if self._asset.format == "json":
            ended = (job.finished or 0.0) + self._jobs.clock.shift
            return await asyncio.to_thread(result_event, job, images, version, ended)
        return await asyncio.to_thread(
            result_message, job, images, version, multipart_errors=self._asset.multipart_errors
        )

    async def _pictures(self, job: Job) -> list[bytes]:
        """Return the job's pictures; none where the first is gone, as without a result."""
        names = [sample_name(job.result or "", number) for number in range(1, job.samples + 1)]
        files = [await self._jobs.files.read(job.folder, name) for name in names]
        return [] if None in files[:1] else [file for file in files if file is not None]

    def _after(self, delivery: Delivery, answer: Answer) -> Delivery:
        """Return the callback as it stands after an attempt."""
        attempted = replace(
            delivery, attempts=delivery.attempts + 1, last_status=answer.status, next_attempt=None
        )
        if answer.received:
            return replace(attempted, state="delivered")
        now = self._jobs.clock()
        pause = max(self._jobs.retries.pause(attempted.attempts), answer.retry_after or 0.0)
        if answer.status == GONE or now + pause - delivery.since > self._jobs.retries.max_age:
            return replace(attempted, state="dead_letter")
        return replace(attempted, next_attempt=now + pause)

    def _note(self, attempted: Delivery, seconds: float) -> None:
        outcome = "failed" if attempted.state == "pending" else attempted.state
        self._jobs.metrics.callbacks.labels(attempted.destination, outcome).inc()
        self._jobs.metrics.callback_seconds.labels(attempted.destination).observe(seconds)
        if attempted.state == "dead_letter":
            log.error("callback dead-lettered", extra={"destination": attempted.destination})

    async def _write(self, attempted: Delivery) -> None:
        while True:
            try:
                await self._jobs.store.attempted(
                    attempted, self._jobs.worker.name, self._jobs.retries.unblocks(attempted)
                )
            except StoreError as error:
                log.error("attempt not written", extra=where(error))
                await asyncio.sleep(STORE_PAUSE)
                continue
            self._jobs.events.tell(attempted.job_id)
            return
