"""Puts the parts of the jobs together by the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError
from gateway.services.tryon.jobs.database_files import DatabaseFiles
from gateway.services.tryon.jobs.delivery import DeliveryWorker
from gateway.services.tryon.jobs.dispatcher import Dispatcher
from gateway.services.tryon.jobs.events import JobEvents
from gateway.services.tryon.jobs.files import FolderFiles, JobFiles
from gateway.services.tryon.jobs.inference import TryOnModel
from gateway.services.tryon.jobs.janitor import Janitor
from gateway.services.tryon.jobs.liveness import WorkerLock
from gateway.services.tryon.jobs.metrics import JobMetrics
from gateway.services.tryon.jobs.models import ACTIVE, Destination
from gateway.services.tryon.jobs.retry import RetryPolicy
from gateway.services.tryon.jobs.room import Room
from gateway.services.tryon.jobs.schema import open_database
from gateway.services.tryon.jobs.signature import key_of, own_secret
from gateway.services.tryon.jobs.slot import Slot
from gateway.services.tryon.jobs.sql_store import SqlStore
from gateway.services.tryon.jobs.steady_clock import SteadyClock
from gateway.services.tryon.jobs.store import JobStore
from gateway.services.tryon.jobs.webhook import Target, WebhookClient
from gateway.settings.tryon import TryonSettings
from gateway.settings.tryon_jobs import Receiver

DATABASE = "jobs.sqlite"
CLOCK = "clock.json"
SKEW = 60.0  # seconds by which the clocks of gateways may differ
SECRET = "webhook.secret"  # noqa: S105 - a file's name


@dataclass
class Jobs:
    """Everything about jobs that runs in this process.

    Attributes:
        incoming: folder of uploads, on the file system of the files.
        clock: gives the times in the store.
        room: on the disk.
    """

    store: JobStore
    files: JobFiles
    incoming: Path
    owner: WorkerLock
    plan: RetryPolicy
    dispatcher: Dispatcher
    delivery_worker: DeliveryWorker
    janitor: Janitor
    clock: SteadyClock
    room: Room

    async def start(self) -> None:
        """Take over what was left, then begin to work.

        Raises:
            StoreError: the database fails.
        """
        await self.janitor.start()
        self.dispatcher.start()
        self.delivery_worker.start()

    async def stop(self) -> None:
        """End; what is unfinished is in the store."""
        await self.dispatcher.stop()
        await self.delivery_worker.stop()
        await self.janitor.stop()
        await self.store.close()
        self.owner.close()


def open_jobs(
    settings: TryonSettings,
    state: Path,
    model: TryOnModel,
    slot: Slot,
    ready: Callable[[], bool],
    failed: Callable[[GatewayError], None],
    metrics: JobMetrics,
    changes: JobEvents,
) -> Jobs:
    """Open the store and make the parts; nothing runs yet. See the parts for the arguments.

    Raises:
        ValueError: the database cannot be opened, or a secret or certificate is unusable.
        OSError: the folder cannot be written.
    """
    folder = settings.folder(state)
    incoming = folder / "incoming"
    for path in (folder, incoming):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    jobs, callbacks = settings.jobs, settings.callbacks
    try:
        engine = open_database(database_url(settings, folder))
        now = database_time(engine)
    except (SQLAlchemyError, ImportError) as error:
        raise ValueError(f"tryon.jobs: no database ({type(error).__name__})") from None
    clock = SteadyClock(folder / CLOCK, jobs.lease_seconds, now)
    plan = RetryPolicy.of(settings)
    store = SqlStore(engine, jobs.result_ttl_seconds, clock, plan.longest_pause + SKEW)
    in_folder = jobs.storage == "folder" or (jobs.storage == "auto" and jobs.database_url is None)
    files = FolderFiles(folder / "files") if in_folder else DatabaseFiles(engine)
    owner = WorkerLock(folder / "owners")
    node = settings.server.node_id
    dispatcher = Dispatcher(
        store, files, model, slot, plan, jobs, node, owner.name, ready, failed, metrics, changes,
        clock,
    )  # fmt: skip
    receivers = targets(settings, folder)
    attempt = max((one.timeout for one in receivers.values()), default=0.0)
    delivery_worker = DeliveryWorker(
        store,
        files,
        WebhookClient(callbacks),
        receivers,
        plan,
        model_version=settings.model.model_version,
        as_json=settings.asset_service.format == "json",
        multipart_errors=settings.asset_service.multipart_errors,
        owner=owner.name,
        lease=jobs.lease_seconds + attempt,
        in_flight=callbacks.in_flight,
        poll=jobs.poll_seconds,
        metrics=metrics,
        changes=changes,
        clock=clock,
    )

    def wake() -> None:
        dispatcher.wake()
        delivery_worker.wake()

    dispatcher.finished = delivery_worker.wake

    def unfinished() -> int:
        here = slot.queued + len(dispatcher.progress)
        return max(here, sum(metrics.counts.get(state, 0) for state in ACTIVE))

    room = Room(folder, jobs, in_folder or engine.dialect.name == "sqlite", unfinished)
    janitor = Janitor(
        store, files, incoming, owner, slot, plan, jobs, node, metrics, changes, wake, clock,
        attempt, room, lambda: dispatcher.progress,
    )  # fmt: skip
    return Jobs(
        store, files, incoming, owner, plan, dispatcher, delivery_worker, janitor, clock, room
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
    found: dict[Destination, Target] = {}
    asset, balancer = settings.asset_service, settings.load_balancer
    if asset.callback_url:
        found["asset_service"] = _target(asset.callback_url, asset, asset.timeout, folder)
    if balancer.url:
        url = f"{balancer.url.rstrip('/')}/job_complete"
        found["load_balancer"] = _target(url, balancer, balancer.timeout, folder)
    return found


def _target(url: str, receiver: Receiver, timeout: float, folder: Path) -> Target:
    secrets = [secret.get_secret_value() for secret in receiver.webhook_secrets]
    keys = [key_of(secret) for secret in secrets or [own_secret(folder / SECRET)]]
    return Target(url, receiver.internal_auth_token.get_secret_value(), timeout, keys)
