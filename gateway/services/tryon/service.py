"""The try-on service: jobs, direct runs, and how health sees the model."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from gateway.admission import Admission
from gateway.context import Context, Service
from gateway.errors import ClientGoneError, GatewayError, InferenceError
from gateway.health.state import ModelState, StillLoadingError
from gateway.services.tryon.jobs.context import open_jobs
from gateway.services.tryon.jobs.database import StoreError
from gateway.services.tryon.jobs.delivery import DeliveryWorker
from gateway.services.tryon.jobs.dispatcher import Dispatcher
from gateway.services.tryon.jobs.inference import Inputs, TryOn, TryOnModel
from gateway.services.tryon.jobs.janitor import Janitor
from gateway.services.tryon.jobs.metrics import JobCollector, JobMetrics
from gateway.services.tryon.jobs.models import ACTIVE, Job, NewJob
from gateway.services.tryon.jobs.room import NoRoomError
from gateway.services.tryon.jobs.slot import Slot
from gateway.services.tryon.jobs.store import JobConflictError, QueueFullError
from gateway.services.tryon.metrics import DocumentedMetrics
from gateway.services.tryon.upload import Form


class TryonService(Service):
    """One model, the jobs that wait for it, and the callbacks behind it.

    Attributes:
        settings: the section `tryon`.
        slot: the model's one place.
        admission: the same, as the other services have one.
        jobs: store, files and what else the jobs share.
        janitor: keeps the store in order.
        figures: those of the documented `/metrics`.

    Raises:
        ValueError: database, secret or certificate unusable.
        OSError: the folder of the jobs cannot be written.
    """

    name = "tryon"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.tryon
        self.model = ModelState("try-on", settings.triton_model, ())
        self.models = [self.model]
        self.slot = Slot(*context.metrics.admission(self.name))
        self.admission: Admission = self.slot
        self._tryon = TryOnModel(context.triton, settings.triton_model, context.tracing.headers)
        metrics = JobMetrics(context.metrics.registry)
        context.metrics.add(JobCollector(metrics))
        self.figures = DocumentedMetrics(metrics, self.model, context.gpus)
        context.metrics.add(self.figures)
        self.jobs = open_jobs(settings, context.settings.paths.state, self.slot, metrics)
        self.delivery_worker = DeliveryWorker(self.jobs)
        self.janitor = Janitor(self.jobs)
        self.dispatcher = Dispatcher(self.jobs, self._tryon, lambda: self.loaded, self._failed)

    @property
    def node(self) -> str:
        """Name of this node."""
        return self.settings.server.node_id

    @property
    def loaded(self) -> bool:
        """Whether the model takes work."""
        return self.model.state == "ready"

    async def start(self) -> None:
        """Take over unfinished jobs and begin.

        Raises:
            ValueError: the database fails.
        """
        try:
            await self.janitor.start()
        except StoreError:
            raise ValueError("tryon.jobs: the database fails") from None
        self.dispatcher.start()
        self.delivery_worker.start()

    async def drain(self, seconds: float) -> None:
        """Take no further job into the model; wait for the one in it."""
        await self.dispatcher.drain(seconds)

    async def stop(self) -> None:
        """End the background work; what is unfinished is in the store."""
        await self.dispatcher.stop()
        await self.delivery_worker.stop()
        await self.janitor.stop()
        await self.jobs.close()

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Ask the model for its state: it has run once when it was loaded.

        Raises:
            StillLoadingError: it loads its weights or warms up.
            InferenceError: it could not be loaded.
            GatewayError: it does not answer.
        """
        description = await self._tryon.describe(timeout)
        if description.get("loading_error"):
            raise InferenceError
        if not description.get("loaded"):
            raise StillLoadingError(description.get("absent"))
        self.jobs.job_waits.set()
        return description

    async def has_room(self, job_id: str) -> bool:
        """Whether another job would be accepted, or this one is known already."""
        busy, places = self.slot.current is not None, 1 + self.settings.jobs.queue_size
        if self.slot.queued + busy < places:
            return True  # as last counted: submitting asks the store
        self.slot.queued = await self.jobs.store.queued(self.node)
        if self.slot.queued + busy < places:
            return True
        if await self.jobs.store.get(job_id) is not None:
            return True
        self.slot.reject("busy")
        return False

    async def check_disk(self) -> None:
        """Check that the disk has room for another job's pictures and result.

        Raises:
            NoRoomError: it has not.
            OSError: the disk fails.
        """
        try:
            await self.jobs.room.check()
        except NoRoomError:
            self.slot.reject(NoRoomError.reason)
            raise

    async def submit(self, fields: Mapping[str, Any], digest: str, form: Form) -> bool:
        """Accept a job; it is on the disk when this returns. False: it was known already.

        Args:
            fields: text fields, the parsed config among them as ``options``.
            digest: SHA-256 of all that the caller sent.
            form: its files.

        Raises:
            JobConflictError: the id is another job's.
            QueueFullError: too many jobs wait.
            NoRoomError: the disk is too full.
            OSError: the disk fails.
            StoreError: the database fails.
        """
        await self.check_disk()
        with self.jobs.room.arrival():
            return await self._accept(fields, digest, form)

    async def _accept(self, fields: Mapping[str, Any], digest: str, form: Form) -> bool:
        now = self.jobs.clock()
        options = self._with_defaults(fields["options"])
        seconds = options.pop("deadline_seconds", None) or self.settings.jobs.deadline_seconds
        job = NewJob(
            id=fields["job_id"], digest=digest, folder=uuid.uuid4().hex, node=self.node,
            user_id=fields["user_id"], session_id=fields["session_id"],
            provider=fields["provider"], options=options, created=now, deadline=now + seconds,
        )  # fmt: skip
        await self.jobs.files.adopt(job.folder, form.folder)
        form.temporary = False
        try:
            accepted = await self.jobs.store.add(job, self._capacity())
        except (QueueFullError, JobConflictError) as error:
            if isinstance(error, QueueFullError):
                self.slot.reject("busy")
            await self.jobs.files.remove(job.folder)
            raise
        # After a StoreError the job may be there all the same; else the janitor finds its files.
        if accepted:
            self.slot.queued += 1
            self.jobs.job_waits.set()
        else:
            await self.jobs.files.remove(job.folder)
        return accepted

    async def direct(self, form: Form, options: Mapping[str, Any]) -> tuple[str, TryOn]:
        """Run at once, for a client that waits; return the run's id and what it made.

        Raises:
            BusyError: the model is taken.
            GatewayError: see :meth:`TryOnModel.run`.
        """
        inputs = await _read_inputs(form, self._with_defaults(options))
        identifier = str(uuid.uuid4())
        seconds = self.settings.jobs.deadline_seconds
        result = await self.dispatcher.direct(identifier, inputs, seconds)
        return identifier, result

    async def cancel(self, job_id: str) -> Job | None:
        """Cancel a job and return it as it was; None where there is none."""
        now = self.jobs.clock()
        deliveries = self.jobs.retries.deliveries(job_id, now)
        ttl = self.settings.jobs.result_ttl_seconds
        job = await self.jobs.store.cancel(job_id, now, deliveries, ttl)
        if job and job.state in ACTIVE:
            self.slot.queued -= job.state == "queued" and job.node == self.node
            self.dispatcher.cancel(job_id)
            self.jobs.callback_due.set()
            self.jobs.events.tell(job_id)
        return job

    async def redeliver(self, job_id: str) -> Job | None:
        """Make a job's callbacks due again; None where there is no such job."""
        job = await self.jobs.store.redeliver(job_id, self.jobs.clock())
        self.jobs.callback_due.set()
        self.jobs.events.tell(job_id)
        return job

    def _with_defaults(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with the defaults that hold for every engine.

        The seed so that it can always be told; both so that this configuration decides although
        the model may have been made by an older one.
        """
        model = self.settings.model
        defaults = {"seed": model.default_seed, "resolution": model.default_resolution}
        return {**defaults, **options}

    def _capacity(self) -> int:
        # A direct run takes the place of a job; one that is being written down no longer does.
        direct = self.slot.current is not None and self.slot.current not in self._in_work
        return 1 + self.settings.jobs.queue_size - direct + self.dispatcher.settling

    @property
    def _in_work(self) -> Mapping[str, object]:
        return self.jobs.progress

    def _failed(self, error: GatewayError) -> None:
        """Let the monitor look at once; until its canary passes, the model gets no work."""
        self._context.monitor.failed(self.model, error)
        if isinstance(error, ClientGoneError) and self.model.state == "ready":
            self.model.state, self.model.detail = "loading", "the model went away"


async def _read_inputs(form: Form, options: Mapping[str, Any]) -> Inputs:
    """Read a form's pictures into memory."""
    person, garment = (form.files[name].path for name in ("masked_user_image", "garment_image"))
    return Inputs(
        await asyncio.to_thread(person.read_bytes), await asyncio.to_thread(garment.read_bytes),
        options,
    )  # fmt: skip
