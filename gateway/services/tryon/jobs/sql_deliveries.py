"""The callbacks as statements; each function is called inside one transaction."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update

from gateway.services.tryon.jobs.models import REDELIVERABLE, Delivery, Destination, Job
from gateway.services.tryon.jobs.schema import deliveries, jobs
from gateway.services.tryon.jobs.sql_rows import read_job, settle, to_delivery

_PENDING = deliveries.c.state == "pending"


def due(
    connection: Connection,
    destination: Destination,
    owner: str,
    lease: float,
    now: float,
    latest: float,
    limit: int,
) -> list[Delivery]:
    """See :meth:`JobStore.due`; ``latest`` is when the longest pause that begins now is over."""
    query = (
        select(deliveries)
        .where(
            _PENDING,
            deliveries.c.destination == destination,
            deliveries.c.owner.is_(None),
            or_(deliveries.c.next_attempt <= now, deliveries.c.next_attempt > latest),
        )
        .order_by(deliveries.c.next_attempt)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [to_delivery(row) for row in connection.execute(query).mappings()]
    for one in found:
        taken = update(deliveries).where(_key(one)).values(owner=owner, lease=now + lease)
        connection.execute(taken)
    return found


def next_due(connection: Connection, destinations: Collection[Destination]) -> float | None:
    """See :meth:`JobStore.next_due`."""
    query = select(func.min(deliveries.c.next_attempt)).where(
        _PENDING, deliveries.c.owner.is_(None), deliveries.c.destination.in_(tuple(destinations))
    )
    found = connection.execute(query).scalar()
    return None if found is None else float(found)


def attempted(
    connection: Connection,
    delivery: Delivery,
    owner: str,
    unblock: Destination | None,
    ttl: float,
    now: float,
) -> bool:
    """See :meth:`JobStore.attempted`."""
    values = {
        "state": delivery.state, "attempts": delivery.attempts, "last_status": delivery.last_status,
        "next_attempt": delivery.next_attempt, "owner": None, "lease": None,
    }  # fmt: skip
    mine = and_(_key(delivery), deliveries.c.owner == owner)
    if connection.execute(update(deliveries).where(mine).values(values)).rowcount == 0:
        return False
    if unblock:
        blocked = and_(
            deliveries.c.job_id == delivery.job_id, deliveries.c.destination == unblock,
            _PENDING, deliveries.c.next_attempt.is_(None),
        )  # fmt: skip
        connection.execute(update(deliveries).where(blocked).values(next_attempt=now, since=now))
    settle(connection, delivery.job_id, ttl, now)
    return True


def redeliver(connection: Connection, job_id: str, now: float) -> Job | None:
    """See :meth:`JobStore.redeliver`.

    Dead-lettered callbacks begin anew. Where there is none, those that wait for their next attempt
    are due now; where all were received, all begin anew, in their order.
    """
    job = read_job(connection, job_id, lock=True)
    if job is None or job.state not in REDELIVERABLE:
        return job
    waiting = [one for one in job.deliveries if one.next_attempt is not None]
    dead = [one for one in job.deliveries if one.state == "dead_letter"]
    received = [one for one in job.deliveries if one.state == "delivered"]
    if waiting and not dead:
        for one in waiting:
            connection.execute(update(deliveries).where(_key(one)).values(next_attempt=now))
        return read_job(connection, job_id)
    chosen = dead or received
    asset_again = any(one.destination == "asset_service" for one in chosen)
    for one in chosen:
        waits = asset_again and one.destination != "asset_service"
        again = {
            "state": "pending", "attempts": 0, "last_status": None, "since": now,
            "next_attempt": None if waits else now,
        }  # fmt: skip
        connection.execute(update(deliveries).where(_key(one)).values(again))
    if chosen and job.state in ("delivered", "dead_letter"):
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state="delivering"))
    return read_job(connection, job_id)


def pending(connection: Connection) -> dict[str, int]:
    """See :meth:`JobStore.pending`."""
    query = select(deliveries.c.destination, func.count()).where(_PENDING)
    return {row[0]: row[1] for row in connection.execute(query.group_by(deliveries.c.destination))}


def forget(connection: Connection, before: float) -> int:
    """See :meth:`JobStore.forget`."""
    old = and_(jobs.c.state == "expired", jobs.c.finished < before)
    gone = select(jobs.c.id).where(old)
    connection.execute(delete(deliveries).where(deliveries.c.job_id.in_(gone)))
    return int(connection.execute(delete(jobs).where(old)).rowcount)


def _key(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        deliveries.c.job_id == delivery.job_id, deliveries.c.destination == delivery.destination
    )
