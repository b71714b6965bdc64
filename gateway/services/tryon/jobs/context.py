"""What everything about jobs in this process shares, made by the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from gateway.services.tryon.jobs.database import open_database
from gateway.services.tryon.jobs.events import JobEvents
from gateway.services.tryon.jobs.files import DatabaseFiles, FolderFiles, JobFiles
from gateway.services.tryon.jobs.liveness import WorkerLock
from gateway.services.tryon.jobs.metrics import JobMetrics
from gateway.services.tryon.jobs.models import ACTIVE, Destination
from gateway.services.tryon.jobs.retry import RetryPolicy
from gateway.services.tryon.jobs.room import Room
from gateway.services.tryon.jobs.signature import key_of, own_secret
from gateway.services.tryon.jobs.slot import Slot
from gateway.services.tryon.jobs.steady_clock import SteadyClock
from gateway.services.tryon.jobs.store import JobStore
from gateway.services.tryon.jobs.webhook import Target
from gateway.settings.tryon import TryonSettings
from gateway.settings.tryon_jobs import Receiver

DATABASE = "jobs.sqlite"
CLOCK = "clock.json"
SKEW = 60.0  # seconds by which the clocks of gateways may differ
SECRET = "webhook.secret"  # noqa: S105 - a file's name


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


def open_jobs(settings: TryonSettings, state: Path, slot: Slot, metrics: JobMetrics) -> JobContext:
    """Open the store and make what the jobs share; nothing runs yet.

    Args:
        settings: the section `tryon`.
        state: folder of run-time files.
        slot: the model's one place.
        metrics: counts and times.

    Raises:
        ValueError: the database cannot be opened, or a secret or certificate is unusable.
        OSError: the folder cannot be written.
    """
    folder = settings.folder(state)
    incoming = folder / "incoming"
    for path in (folder, incoming):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    jobs = settings.jobs
    try:
        engine = open_database(database_url(settings, folder))
        now = database_time(engine)
    except (SQLAlchemyError, ImportError) as error:
        raise ValueError(f"tryon.jobs: no database ({type(error).__name__})") from None
    clock = SteadyClock(folder / CLOCK, jobs.lease_seconds, now)
    retries = RetryPolicy.of(settings)
    in_folder = jobs.storage == "folder" or (jobs.storage == "auto" and jobs.database_url is None)
    progress: dict[str, tuple[float, str | None]] = {}

    def unfinished() -> int:
        here = slot.queued + len(progress)
        return max(here, sum(metrics.counts.get(state, 0) for state in ACTIVE))

    store = JobStore(engine, jobs.result_ttl_seconds, clock, retries.longest_pause + SKEW)
    return JobContext(
        settings=settings,
        store=store,
        files=FolderFiles(folder / "files") if in_folder else DatabaseFiles(store),
        incoming=incoming,
        clock=clock,
        retries=retries,
        targets=targets(settings, folder),
        worker=WorkerLock(folder / "owners"),
        slot=slot,
        room=Room(folder, jobs, in_folder or engine.dialect.name == "sqlite", unfinished),
        metrics=metrics,
        events=JobEvents(),
        progress=progress,
    )


def database_url(settings: TryonSettings, folder: Path) -> str:
    """Return the configured database, else the SQLite file in the folder."""
    if settings.jobs.database_url is not None:
        return settings.jobs.database_url.get_secret_value()
    return URL.create("sqlite", database=str(folder / DATABASE)).render_as_string()


def database_time(engine: Engine) -> float | None:
    """Return what a database server believes to be the time; None for a file's.

    Gateways on several machines begin to count at the same point then.

    Raises:
        SQLAlchemyError: it does not answer.
    """
    if engine.dialect.name == "sqlite":
        return None
    with engine.connect() as connection:
        query = text("SELECT CAST(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) AS DOUBLE PRECISION)")
        return float(connection.execute(query).scalar_one())


def targets(settings: TryonSettings, folder: Path) -> dict[Destination, Target]:
    """Return the configured receivers.

    Raises:
        ValueError: a secret is unusable.
        OSError: the own secret can be neither read nor written.
    """
    targets: dict[Destination, Target] = {}
    asset, balancer = settings.asset_service, settings.load_balancer
    if asset.callback_url:
        targets["asset_service"] = _target(asset.callback_url, asset, asset.timeout, folder)
    if balancer.url:
        url = f"{balancer.url.rstrip('/')}/job_complete"
        targets["load_balancer"] = _target(url, balancer, balancer.timeout, folder)
    return targets


def _target(url: str, receiver: Receiver, timeout: float, folder: Path) -> Target:
    secrets = [secret.get_secret_value() for secret in receiver.webhook_secrets]
    keys = [key_of(secret) for secret in secrets or [own_secret(folder / SECRET)]]
    return Target(url, receiver.internal_auth_token.get_secret_value(), timeout, keys)
