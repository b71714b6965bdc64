"""Between rows and records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from gateway.services.tryon.jobs.database import deliveries, jobs
from gateway.services.tryon.jobs.models import Delivery, Job, JobError, NewJob


def job_values(job: NewJob) -> dict[str, Any]:
    """Return the columns of a job just accepted."""
    return {
        **asdict(job), "options": json.dumps(job.options),
        "state": "queued", "attempts": 0, "cancelling": False, "progress": 0.0, "report": "{}",
    }  # fmt: skip


def to_job(row: RowMapping, job_deliveries: Sequence[Delivery] = ()) -> Job:
    """Return the record of a row of `tryon_jobs` and its deliveries."""
    error = JobError(row["error_code"], row["error_step"]) if row["error_code"] else None
    kept = {field.name: row[field.name] for field in fields(Job) if field.name in row}
    told = {name: json.loads(row[name]) for name in ("options", "report")}
    return Job(**kept | told, error=error, deliveries=tuple(job_deliveries))


def to_delivery(row: RowMapping) -> Delivery:
    """Return the record of a row of `tryon_deliveries`."""
    return Delivery(**{field.name: row[field.name] for field in fields(Delivery)})


def read_job(connection: Connection, job_id: str, *, lock: bool = False) -> Job | None:
    """Return a job with its deliveries; ``lock`` keeps others from changing it meanwhile."""
    query = select(jobs).where(jobs.c.id == job_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        return None
    return to_job(row, deliveries_of(connection, [job_id]).get(job_id, ()))


def deliveries_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[Delivery]]:
    """Return the deliveries of several jobs by job, the asset service's first."""
    query = select(deliveries).where(deliveries.c.job_id.in_(ids))
    by_job: dict[str, list[Delivery]] = {}
    for row in connection.execute(query.order_by(deliveries.c.destination)).mappings():
        by_job.setdefault(row["job_id"], []).append(to_delivery(row))
    return by_job


def write_deliveries(connection: Connection, new: Sequence[Delivery]) -> None:
    """Insert the deliveries of a job that has just ended."""
    if new:
        rows = [asdict(delivery) for delivery in new]
        connection.execute(insert(deliveries), rows)


def settle(connection: Connection, job_id: str, ttl: float, now: float) -> None:
    """Set the state of a job whose result is being delivered by that of its deliveries.

    A failed or cancelled job keeps its state: that is about the inference.
    """
    query = select(deliveries.c.state).where(deliveries.c.job_id == job_id)
    states = set(connection.execute(query).scalars())
    if "pending" in states:
        return
    state = "dead_letter" if "dead_letter" in states else "delivered"
    done = jobs.c.id == job_id
    connection.execute(update(jobs).where(done).values(expires=now + ttl))
    in_delivery = jobs.c.state.in_(("delivering", "delivered", "dead_letter"))
    connection.execute(update(jobs).where(done, in_delivery).values(state=state))
