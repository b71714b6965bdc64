"""The job store on SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.services.tryon.jobs import sql_deliveries, sql_queue
from gateway.services.tryon.jobs.models import (
    Delivery,
    Destination,
    Held,
    Job,
    NewJob,
    Outcome,
    State,
)
from gateway.services.tryon.jobs.schema import jobs
from gateway.services.tryon.jobs.sql_rows import read_job
from gateway.services.tryon.jobs.store import StoreError

T = TypeVar("T")
SERVER_THREADS = 4  # transactions at once on a database server


class SqlStore:
    """Implements :class:`gateway.services.tryon.jobs.store.JobStore`.

    Transactions run in threads: one for SQLite, which has one writer anyway.

    Args:
        engine: from :func:`gateway.services.tryon.jobs.schema.open_database`.
        ttl: seconds that files are kept after the last callback.
        clock: seconds since the epoch.
        longest_pause: seconds between two attempts of a callback at the most.
    """

    def __init__(
        self,
        engine: Engine,
        ttl: float,
        clock: Callable[[], float] = time.time,
        longest_pause: float = float("inf"),
    ) -> None:
        self._engine = engine
        self._ttl = ttl
        self._clock = clock
        self._longest_pause = longest_pause
        threads = 1 if engine.dialect.name == "sqlite" else SERVER_THREADS
        self._threads = ThreadPoolExecutor(threads, "jobs")

    async def add(self, job: NewJob, capacity: int) -> bool:
        """See :class:`JobStore`, as for all methods here."""
        return await self._run(sql_queue.add, job, capacity)

    async def get(self, job_id: str) -> Job | None:
        """Read one job."""
        return await self._run(read_job, job_id)

    async def line(self) -> Sequence[str]:
        """List the queue."""
        return await self._run(sql_queue.line)

    async def page(
        self, state: State | None, limit: int, before: tuple[float, str] | None
    ) -> Sequence[Job]:
        """List jobs."""
        return await self._run(sql_queue.page, state, limit, before)

    async def counts(self) -> Mapping[State, int]:
        """Count jobs by state."""
        return await self._run(sql_queue.counts)

    async def queued(self, node: str) -> int:
        """Count a node's queue."""
        return await self._run(sql_queue.queued, node)

    async def claim(self, node: str, owner: str, lease: float, now: float) -> Job | None:
        """Take a job."""
        return await self._run(sql_queue.claim, node, owner, lease, now)

    async def renew(
        self, owner: str, lease: float, progress: Mapping[str, tuple[float, str | None]]
    ) -> None:
        """Prolong leases."""
        await self._run(sql_queue.renew, owner, self._clock() + lease, progress)

    async def to_cancel(self, owner: str) -> Collection[str]:
        """List jobs to cancel."""
        return await self._run(sql_queue.to_cancel, owner)

    async def finish(
        self, job: Job, outcome: Outcome, deliveries: Sequence[Delivery], ttl: float
    ) -> bool:
        """End a job's inference."""
        return await self._run(sql_queue.finish, job, outcome, deliveries, ttl)

    async def release(self, job: Job, *, counted: bool) -> None:
        """Queue a job again."""
        await self._run(partial(sql_queue.release, counted=counted), job)

    async def cancel(
        self, job_id: str, now: float, deliveries: Sequence[Delivery], ttl: float
    ) -> Job | None:
        """Cancel a job."""
        return await self._run(sql_queue.cancel, job_id, now, deliveries, ttl)

    async def held(self) -> Collection[Held]:
        """List what is in work."""
        return await self._run(sql_queue.held)

    async def take_over(self, lost: Collection[Held]) -> int:
        """Free what is lost."""
        return await self._run(sql_queue.take_over, lost)

    async def overdue(self, now: float) -> Sequence[Job]:
        """List jobs past their deadline."""
        return await self._run(sql_queue.overdue, now)

    async def due(
        self, destination: Destination, owner: str, lease: float, now: float, limit: int
    ) -> Sequence[Delivery]:
        """Take deliveries."""
        latest = now + self._longest_pause
        return await self._run(sql_deliveries.due, destination, owner, lease, now, latest, limit)

    async def next_due(self, destinations: Collection[Destination]) -> float | None:
        """Tell when the next delivery is due."""
        return await self._run(sql_deliveries.next_due, destinations)

    async def attempted(self, delivery: Delivery, owner: str, unblock: Destination | None) -> bool:
        """Write down an attempt."""
        return await self._run(
            sql_deliveries.attempted, delivery, owner, unblock, self._ttl, self._clock()
        )

    async def redeliver(self, job_id: str, now: float) -> Job | None:
        """Make callbacks due again."""
        return await self._run(sql_deliveries.redeliver, job_id, now)

    async def pending(self) -> Mapping[str, int]:
        """Count pending deliveries."""
        return await self._run(sql_deliveries.pending)

    async def expire(self, now: float) -> Sequence[str]:
        """Mark expired jobs."""
        return await self._run(sql_queue.expire, now)

    async def forget(self, before: float) -> int:
        """Delete old records."""
        return await self._run(sql_deliveries.forget, before)

    async def folders(self) -> Collection[str]:
        """List folders in use."""
        query = select(jobs.c.folder).where(jobs.c.state != "expired")
        return await self._run(lambda connection: set(connection.execute(query).scalars()))

    async def close(self) -> None:
        """End the threads and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transact, work, args)

    def _transact(self, work: Callable[..., T], args: Sequence[Any]) -> T:
        for last in (False, True):
            try:
                with self._engine.begin() as connection:
                    return work(connection, *args)
            except DBAPIError as error:
                # A server that was restarted has closed the connection: the next one works.
                if last or not error.connection_invalidated:
                    raise StoreError(type(error).__name__) from None
            except SQLAlchemyError as error:
                raise StoreError(type(error).__name__) from None
        raise AssertionError  # the loop returns or raises
