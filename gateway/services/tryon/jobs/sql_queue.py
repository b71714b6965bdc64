"""The queue as statements; each function is called inside one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection, and_, exists, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from gateway.services.tryon.jobs.models import ACTIVE, Delivery, Held, Job, NewJob, Outcome, State
from gateway.services.tryon.jobs.schema import deliveries, jobs
from gateway.services.tryon.jobs.sql_rows import (
    deliveries_of,
    job_values,
    read_job,
    settle,
    to_job,
    write_deliveries,
)
from gateway.services.tryon.jobs.store import JobConflictError, QueueFullError

_FREE = {"owner": None, "lease": None, "progress": 0.0, "step": None}


def add(connection: Connection, job: NewJob, capacity: int) -> bool:
    """See :meth:`JobStore.add`."""
    if _known(connection, job):
        return False
    active = select(func.count()).where(jobs.c.state.in_(ACTIVE), jobs.c.node == job.node)
    if connection.execute(active).scalar_one() >= capacity:
        raise QueueFullError
    try:
        with connection.begin_nested():
            connection.execute(insert(jobs).values(job_values(job)))
    except IntegrityError:  # another gateway accepted it in this moment
        return not _known(connection, job)
    return True


def _known(connection: Connection, job: NewJob) -> bool:
    digest = connection.execute(select(jobs.c.digest).where(jobs.c.id == job.id)).scalar()
    if digest is not None and digest != job.digest:
        raise JobConflictError
    return digest is not None


def line(connection: Connection) -> list[str]:
    """See :meth:`JobStore.line`."""
    query = select(jobs.c.id).where(jobs.c.state == "queued").order_by(jobs.c.created, jobs.c.id)
    return list(connection.execute(query).scalars())


def page(
    connection: Connection, state: State | None, limit: int, before: tuple[float, str] | None
) -> list[Job]:
    """See :meth:`JobStore.page`."""
    query = select(jobs).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
    if state:
        query = query.where(jobs.c.state == state)
    if before:
        query = query.where(tuple_(jobs.c.created, jobs.c.id) < tuple_(*before))
    rows = connection.execute(query).mappings().all()
    found = deliveries_of(connection, [row["id"] for row in rows])
    return [to_job(row, found.get(row["id"], ())) for row in rows]


def counts(connection: Connection) -> dict[State, int]:
    """See :meth:`JobStore.counts`."""
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def queued(connection: Connection, node: str) -> int:
    """See :meth:`JobStore.queued`."""
    query = select(func.count()).where(jobs.c.state == "queued", jobs.c.node == node)
    return int(connection.execute(query).scalar_one())


def claim(connection: Connection, node: str, owner: str, lease: float, now: float) -> Job | None:
    """See :meth:`JobStore.claim`."""
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
    taken = {
        "state": "running", "owner": owner, "node": node, "lease": now + lease, "started": now,
        "attempts": jobs.c.attempts + 1, "progress": 0.0, "step": None,
    }  # fmt: skip
    connection.execute(update(jobs).where(jobs.c.id == chosen).values(taken))
    return read_job(connection, chosen)


def renew(
    connection: Connection,
    owner: str,
    until: float,
    progress: Mapping[str, tuple[float, str | None]],
) -> None:
    """See :meth:`JobStore.renew`."""
    for job_id, (fraction, step) in progress.items():
        mine = and_(jobs.c.id == job_id, jobs.c.owner == owner, jobs.c.state == "running")
        values = {"lease": until, "progress": fraction, "step": step}
        connection.execute(update(jobs).where(mine).values(values))


def to_cancel(connection: Connection, owner: str) -> set[str]:
    """See :meth:`JobStore.to_cancel`."""
    query = select(jobs.c.id).where(
        jobs.c.owner == owner, jobs.c.state == "running", jobs.c.cancelling
    )
    return set(connection.execute(query).scalars())


def finish(
    connection: Connection, job: Job, outcome: Outcome, new: Sequence[Delivery], ttl: float
) -> bool:
    """See :meth:`JobStore.finish`."""
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


def release(connection: Connection, job: Job, *, counted: bool) -> None:
    """See :meth:`JobStore.release`."""
    mine = and_(
        jobs.c.id == job.id, jobs.c.owner == job.owner, jobs.c.attempts == job.attempts,
        jobs.c.state == "running",
    )  # fmt: skip
    back = {**_FREE, "state": "queued", "attempts": job.attempts - (0 if counted else 1)}
    connection.execute(update(jobs).where(mine).values(back))


def cancel(
    connection: Connection, job_id: str, now: float, new: Sequence[Delivery], ttl: float
) -> Job | None:
    """See :meth:`JobStore.cancel`."""
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


def held(connection: Connection) -> set[Held]:
    """See :meth:`JobStore.held`."""
    running = select(jobs.c.id, jobs.c.owner, jobs.c.lease).where(jobs.c.state == "running")
    sent = select(
        deliveries.c.job_id, deliveries.c.destination, deliveries.c.owner, deliveries.c.lease
    ).where(deliveries.c.owner.is_not(None))

    def found() -> Iterator[Held]:
        for job_id, owner, lease in connection.execute(running):
            yield Held(job_id, None, owner, lease)
        for row in connection.execute(sent):
            yield Held(*row)

    return set(found())


def take_over(connection: Connection, lost: Collection[Held]) -> int:
    """See :meth:`JobStore.take_over`."""
    freed = 0
    for one in lost:
        table = jobs if one.destination is None else deliveries
        same = and_(table.c.owner == one.owner, table.c.lease == one.lease)
        if one.destination is None:
            this = and_(jobs.c.id == one.job_id, jobs.c.state == "running", same)
            back = update(jobs).where(this).values({**_FREE, "state": "queued"})
            freed += connection.execute(back).rowcount
        else:
            this = and_(
                deliveries.c.job_id == one.job_id, deliveries.c.destination == one.destination, same
            )
            connection.execute(update(deliveries).where(this).values(owner=None, lease=None))
    return freed


def overdue(connection: Connection, now: float) -> list[Job]:
    """See :meth:`JobStore.overdue`."""
    query = select(jobs).where(jobs.c.state == "queued", jobs.c.deadline <= now)
    return [to_job(row) for row in connection.execute(query).mappings()]


def expire(connection: Connection, now: float) -> list[str]:
    """See :meth:`JobStore.expire`."""
    pending = exists().where(deliveries.c.job_id == jobs.c.id, deliveries.c.state == "pending")
    over = and_(jobs.c.expires <= now, jobs.c.state != "expired", ~pending)
    found = connection.execute(select(jobs.c.id, jobs.c.folder).where(over)).all()
    if found:
        gone = jobs.c.id.in_([row[0] for row in found])
        connection.execute(update(jobs).where(gone).values(state="expired"))
    return [row[1] for row in found]
