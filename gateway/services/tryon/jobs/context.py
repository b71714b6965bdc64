"""What everything about jobs in this process shares."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.services.tryon.jobs.events import JobEvents
from gateway.services.tryon.jobs.files import JobFiles
from gateway.services.tryon.jobs.liveness import WorkerLock
from gateway.services.tryon.jobs.metrics import JobMetrics
from gateway.services.tryon.jobs.models import Destination
from gateway.services.tryon.jobs.retry import RetryPolicy
from gateway.services.tryon.jobs.room import Room
from gateway.services.tryon.jobs.slot import Slot
from gateway.services.tryon.jobs.steady_clock import SteadyClock
from gateway.services.tryon.jobs.store import JobStore
from gateway.services.tryon.jobs.webhook import Target
from gateway.settings.tryon import TryonSettings


@dataclass
class JobContext:
    """The parts that dispatcher, delivery worker, janitor and routes work on.

    Attributes:
        settings: the section `tryon`.
        incoming: folder of uploads, on the file system of the files.
        clock: seconds since the epoch, of all times in the store.
        retries: which callbacks a job has, and when each is due.
        worker: this process, as the store names it.
        slot: the model's one place, shared with direct requests.
        metrics: counts and times.
        events: tells those who watch a job.
        progress: fraction and step of the jobs in work here, by id.
        job_waits: set when the dispatcher should look for a job.
        callback_due: set when the delivery worker should look for a callback.
    """

    settings: TryonSettings
    store: JobStore
    files: JobFiles
    incoming: Path
    clock: SteadyClock
    retries: RetryPolicy
    targets: Mapping[Destination, Target]
    worker: WorkerLock
    slot: Slot
    room: Room
    metrics: JobMetrics
    events: JobEvents
    progress: dict[str, tuple[float, str | None]]
    job_waits: asyncio.Event = field(default_factory=asyncio.Event)
    callback_due: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def node(self) -> str:
        """Name of this node."""
        return self.settings.server.node_id

    @property
    def attempt_seconds(self) -> float:
        """How long an attempt of a callback takes at the most."""
        return max((target.timeout for target in self.targets.values()), default=0.0)

    async def close(self) -> None:
        """Close the store and let others see that this process is gone."""
        await self.store.close()
        self.worker.close()
