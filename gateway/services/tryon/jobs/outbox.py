"""The callbacks in the job store: which are due, and what became of each attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, or_, select, update

from gateway.services.tryon.jobs.database import Database, deliveries, jobs, transaction
from gateway.services.tryon.jobs.models import REDELIVERABLE, Delivery, Destination, Job
from gateway.services.tryon.jobs.rows import read_job, settle, to_delivery

_PENDING = deliveries.c.state == "pending"


class Outbox(Database):
    """The callbacks' part of the job store.

    Args:
        engine: from :func:`open_database`.
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
        super().__init__(engine)
        self._ttl = ttl
        self._clock = clock
        self._longest_pause = longest_pause

    @transaction
    def due(
        self,
        connection: Connection,
        destination: Destination,
        owner: str,
        lease: float,
        now: float,
        limit: int,
    ) -> list[Delivery]:
        """Take a receiver's deliveries that are due into work, the longest due first.

        One that would be due later than any pause lasts is due now: its time was written down by
        a clock that was wrong.
        """
        latest = now + self._longest_pause
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
        due = [to_delivery(row) for row in connection.execute(query).mappings()]
        for delivery in due:
            claim = update(deliveries).where(_key(delivery)).values(owner=owner, lease=now + lease)
            connection.execute(claim)
        return due

    @transaction
    def next_due(
        self, connection: Connection, destinations: Collection[Destination]
    ) -> float | None:
        """Return when the receivers' next delivery is due that nobody has in work."""
        query = select(func.min(deliveries.c.next_attempt)).where(
            _PENDING,
            deliveries.c.owner.is_(None),
            deliveries.c.destination.in_(tuple(destinations)),
        )
        earliest = connection.execute(query).scalar()
        return None if earliest is None else float(earliest)

    @transaction
    def attempted(
        self, connection: Connection, delivery: Delivery, owner: str, unblock: Destination | None
    ) -> bool:
        """Write down how an attempt left its delivery; False when it was not the owner's any more.

        ``unblock`` is the destination that may be told now.
        """
        now = self._clock()
        values = {
            "state": delivery.state, "attempts": delivery.attempts, "owner": None, "lease": None,
            "last_status": delivery.last_status, "next_attempt": delivery.next_attempt,
        }  # fmt: skip
        mine = and_(_key(delivery), deliveries.c.owner == owner)
        if connection.execute(update(deliveries).where(mine).values(values)).rowcount == 0:
            return False
        if unblock:
            blocked = and_(
                deliveries.c.job_id == delivery.job_id, deliveries.c.destination == unblock,
                _PENDING, deliveries.c.next_attempt.is_(None),
            )  # fmt: skip
            connection.execute(
                update(deliveries).where(blocked).values(next_attempt=now, since=now)
            )
        settle(connection, delivery.job_id, self._ttl, now)
        return True

    @transaction
    def redeliver(self, connection: Connection, job_id: str, now: float) -> Job | None:
        """Make a finished job's callbacks due again and return it; None where there is none.

        Dead-lettered callbacks begin anew. Where there is none, those that wait for their next
        attempt are due now; where all were received, all begin anew, in their order.
        """
        job = read_job(connection, job_id, lock=True)
        if job is None or job.state not in REDELIVERABLE:
            return job
        waiting = [delivery for delivery in job.deliveries if delivery.next_attempt is not None]
        dead = [delivery for delivery in job.deliveries if delivery.state == "dead_letter"]
        received = [delivery for delivery in job.deliveries if delivery.state == "delivered"]
        if waiting and not dead:
            for delivery in waiting:
                connection.execute(
                    update(deliveries).where(_key(delivery)).values(next_attempt=now)
                )
            return read_job(connection, job_id)
        chosen = dead or received
        asset_again = any(delivery.destination == "asset_service" for delivery in chosen)
        for delivery in chosen:
            waits = asset_again and delivery.destination != "asset_service"
            again = {
                "state": "pending", "attempts": 0, "last_status": None, "since": now,
                "next_attempt": None if waits else now,
            }  # fmt: skip
            connection.execute(update(deliveries).where(_key(delivery)).values(again))
        if chosen and job.state in ("delivered", "dead_letter"):
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(state="delivering"))
        return read_job(connection, job_id)

    @transaction
    def pending(self, connection: Connection) -> dict[str, int]:
        """Return how many deliveries are pending, by destination."""
        query = select(deliveries.c.destination, func.count()).where(_PENDING)
        return {
            row[0]: row[1] for row in connection.execute(query.group_by(deliveries.c.destination))
        }


def _key(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        deliveries.c.job_id == delivery.job_id, deliveries.c.destination == delivery.destination
    )
