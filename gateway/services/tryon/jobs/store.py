"""The job store: what is kept of jobs and callbacks, in SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, and_, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from gateway.services.tryon.jobs.database import deliveries, jobs, transaction
from gateway.services.tryon.jobs.models import ACTIVE, Delivery, Held, Job, NewJob, Outcome, State
from gateway.services.tryon.jobs.outbox import Outbox
from gateway.services.tryon.jobs.rows import (
    deliveries_of,
    job_values,
    read_job,
    settle,
    to_job,
    write_deliveries,
)

_FREE = {"owner": None, "lease": None, "progress": 0.0, "step": None}


class JobConflictError(Exception):
    """The id belongs to a job with another body."""


class QueueFullError(Exception):
    """The node has as many jobs as it takes."""


class JobStore(Outbox):
    """Every method is one transaction, durable when it returns.

    Those that change a running job or a delivery under way name the owner: they do nothing once it
    has passed to another gateway. All of them raise StoreError when the database fails.
    """

    @transaction
    def add(self, connection: Connection, job: NewJob, capacity: int) -> bool:
        """Accept a job; False when it is there already with the same body.

        True also where it is there by an earlier try of this very call, whose end nobody heard.

        Raises:
            JobConflictError: it is there with another body.
            QueueFullError: ``capacity`` jobs of the node are queued or running.
        """
        if (folder := _folder_of(connection, job)) is not None:
            return folder == job.folder
        active = select(func.count()).where(jobs.c.state.in_(ACTIVE), jobs.c.node == job.node)
        if connection.execute(active).scalar_one() >= capacity:
            raise QueueFullError
        try:
            with connection.begin_nested():
                connection.execute(insert(jobs).values(job_values(job)))
        except IntegrityError:  # another gateway accepted it in this moment
            return _folder_of(connection, job) in (None, job.folder)
        return True

    @transaction
    def get(self, connection: Connection, job_id: str) -> Job | None:
        """Return a job, None where there is none."""
        return read_job(connection, job_id)

    @transaction
    def line(self, connection: Connection) -> list[str]:
        """Return the ids of the queued jobs, the next one first."""
        query = (
            select(jobs.c.id).where(jobs.c.state == "queued").order_by(jobs.c.created, jobs.c.id)
        )
        return list(connection.execute(query).scalars())

    @transaction
    def page(
        self,
        connection: Connection,
        state: State | None,
        limit: int,
        before: tuple[float, str] | None,
    ) -> list[Job]:
        """Return jobs, newest first, those accepted ``before`` (time, id) of another."""
        query = select(jobs).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
        if state:
            query = query.where(jobs.c.state == state)
        if before:
            query = query.where(tuple_(jobs.c.created, jobs.c.id) < tuple_(*before))
        rows = connection.execute(query).mappings().all()
        by_job = deliveries_of(connection, [row["id"] for row in rows])
        return [to_job(row, by_job.get(row["id"], ())) for row in rows]

    @transaction
    def counts(self, connection: Connection) -> dict[State, int]:
        """Return how many jobs are in each state."""
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        return {row[0]: row[1] for row in connection.execute(query)}

    @transaction
    def queued(self, connection: Connection, node: str) -> int:
        """Return how many queued jobs the node has accepted."""
        query = select(func.count()).where(jobs.c.state == "queued", jobs.c.node == node)
        return int(connection.execute(query).scalar_one())

    @transaction
    def claim(
        self, connection: Connection, node: str, owner: str, lease: float, now: float
    ) -> Job | None:
        """Take the oldest queued job into work, None without one."""
        oldest = (
            select(jobs.c.id)
            .where(jobs.c.state == "queued", jobs.c.deadline > now)
            .order_by(jobs.c.created, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        chosen = connection.execute(oldest).scalar()
        if chosen is None:
            return None
        claim = {
            "state": "running", "owner": owner, "node": node, "lease": now + lease, "started": now,
            "attempts": jobs.c.attempts + 1, "progress": 0.0, "step": None,
        }  # fmt: skip
        connection.execute(update(jobs).where(jobs.c.id == chosen).values(claim))
        return read_job(connection, chosen)

    @transaction
    def renew(
        self,
        connection: Connection,
        owner: str,
        lease: float,
        progress: Mapping[str, tuple[float, str | None]],
    ) -> None:
        """Prolong the named jobs of the owner, and write down how far they are."""
        until = self._clock() + lease
        for job_id, (fraction, step) in progress.items():
            mine = and_(jobs.c.id == job_id, jobs.c.owner == owner, jobs.c.state == "running")
            values = {"lease": until, "progress": fraction, "step": step}
            connection.execute(update(jobs).where(mine).values(values))

    @transaction
    def to_cancel(self, connection: Connection, owner: str) -> set[str]:
        """Return the owner's running jobs that somebody has asked to cancel."""
        query = select(jobs.c.id).where(
            jobs.c.owner == owner, jobs.c.state == "running", jobs.c.cancelling
        )
        return set(connection.execute(query).scalars())

    @transaction
    def finish(
        self,
        connection: Connection,
        job: Job,
        outcome: Outcome,
        new: Sequence[Delivery],
        ttl: float,
    ) -> bool:
        """End a job's inference; False when it was no longer this attempt's."""
        this_attempt = and_(
            jobs.c.id == job.id,
            jobs.c.state == job.state,
            jobs.c.attempts == job.attempts,
            jobs.c.owner == job.owner if job.owner else jobs.c.owner.is_(None),
        )
        error = outcome.error
        ended = {
            **_FREE, "state": outcome.state, "finished": outcome.finished, "result": outcome.result,
            "content_type": outcome.content_type, "report": json.dumps(outcome.report),
            "error_code": error and error.code, "error_step": error and error.step,
            "progress": 0.0 if error else 1.0,
        }  # fmt: skip
        if connection.execute(update(jobs).where(this_attempt).values(ended)).rowcount == 0:
            return False
        write_deliveries(connection, new)
        settle(connection, job.id, ttl, outcome.finished)
        return True

    @transaction
    def release(self, connection: Connection, job: Job, *, counted: bool) -> None:
        """Put a running job back into the queue; ``counted`` says whether the attempt counts."""
        mine = and_(
            jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempts == job.attempts,
            jobs.c.state == "running",
        )  # fmt: skip
        back = {**_FREE, "state": "queued", "attempts": job.attempts - (0 if counted else 1)}
        connection.execute(update(jobs).where(mine).values(back))

    @transaction
    def cancel(
        self, connection: Connection, job_id: str, now: float, new: Sequence[Delivery], ttl: float
    ) -> Job | None:
        """Cancel a queued job, ask a running one's owner to, and return the job as it was."""
        job = read_job(connection, job_id, lock=True)
        if job is None:
            return None
        if job.state == "queued":
            values = {"state": "cancelled", "finished": now, "error_code": "cancelled"}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
            write_deliveries(connection, new)
            settle(connection, job_id, ttl, now)
        elif job.state == "running":
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(cancelling=True))
        return job

    @transaction
    def held(self, connection: Connection) -> set[Held]:
        """Return the jobs and deliveries that somebody has in work."""
        running = select(jobs.c.id, jobs.c.owner, jobs.c.lease).where(jobs.c.state == "running")
        sent = select(
            deliveries.c.job_id, deliveries.c.destination, deliveries.c.owner, deliveries.c.lease
        ).where(deliveries.c.owner.is_not(None))
        held = {
            Held(job_id, None, owner, lease) for job_id, owner, lease in connection.execute(running)
        }
        return held.union(Held(*row) for row in connection.execute(sent))

    @transaction
    def take_over(self, connection: Connection, lost: Collection[Held]) -> int:
        """Free what is still held as it was when it was given up; return how many jobs."""
        freed = 0
        for claim in lost:
            table = jobs if claim.destination is None else deliveries
            same = and_(table.c.owner == claim.owner, table.c.lease == claim.lease)
            if claim.destination is None:
                this = and_(jobs.c.id == claim.job_id, jobs.c.state == "running", same)
                back = update(jobs).where(this).values({**_FREE, "state": "queued"})
                freed += connection.execute(back).rowcount
            else:
                this = and_(
                    deliveries.c.job_id == claim.job_id,
                    deliveries.c.destination == claim.destination,
                    same,
                )
                connection.execute(update(deliveries).where(this).values(owner=None, lease=None))
        return freed

    @transaction
    def overdue(self, connection: Connection, now: float) -> list[Job]:
        """Return queued jobs whose deadline has passed."""
        query = select(jobs).where(jobs.c.state == "queued", jobs.c.deadline <= now)
        return [to_job(row) for row in connection.execute(query).mappings()]

    @transaction
    def expire(self, connection: Connection, now: float) -> list[str]:
        """Mark jobs whose files have had their time, and return the files' folders."""
        pending = exists().where(deliveries.c.job_id == jobs.c.id, deliveries.c.state == "pending")
        over = and_(jobs.c.expires <= now, jobs.c.state != "expired", ~pending)
        expired = connection.execute(select(jobs.c.id, jobs.c.folder).where(over)).all()
        if expired:
            gone = jobs.c.id.in_([row[0] for row in expired])
            connection.execute(update(jobs).where(gone).values(state="expired"))
        return [row[1] for row in expired]

    @transaction
    def folders(self, connection: Connection) -> set[str]:
        """Return the folders of all jobs that have files."""
        query = select(jobs.c.folder).where(jobs.c.state != "expired")
        return set(connection.execute(query).scalars())

    @transaction
    def forget(self, connection: Connection, before: float) -> int:
        """Delete the records of jobs that expired and ended before; return how many."""
        old = and_(jobs.c.state == "expired", jobs.c.finished < before)
        gone = select(jobs.c.id).where(old)
        connection.execute(delete(deliveries).where(deliveries.c.job_id.in_(gone)))
        return int(connection.execute(delete(jobs).where(old)).rowcount)


def _folder_of(connection: Connection, job: NewJob) -> str | None:
    """Return the folder of the accepted job of that id, None where there is none."""
    query = select(jobs.c.digest, jobs.c.folder).where(jobs.c.id == job.id)
    accepted = connection.execute(query).one_or_none()
    if accepted is None:
        return None
    if accepted.digest != job.digest:
        raise JobConflictError
    return str(accepted.folder)
