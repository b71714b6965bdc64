"""Jobs as REST tells them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter

from gateway.errors import BadRequestError
from gateway.services.tryon.forms import MAX_SAMPLES
from gateway.services.tryon.jobs.models import Delivery, Job, State
from gateway.services.tryon.jobs.outcome import WORDS
from gateway.services.tryon.schemas import JobCallback, JobError, TryonJob


class JobsQuery(BaseModel):
    """Which jobs to list."""

    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=2048)] | None = None


class ResultQuery(BaseModel):
    """Which of a job's pictures."""

    sample: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1


def job_json(
    job: Job, root: str, position: int | None, live: tuple[float, str | None] | None
) -> TryonJob:
    """Return one job.

    Args:
        job: as it is kept.
        root: path below which the API is mounted.
        position: jobs before it, for a queued one.
        live: fraction and step, where this process runs it.
    """
    fraction, step = live if live and job.state == "running" else (job.progress, job.step)
    report = job.report
    return {
        "job_id": job.id,
        "state": job.state,
        "progress": round(fraction, 4),
        "step": step,
        "position": position,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "attempts": job.attempts,
        "node_id": job.node,
        "provider": job.provider,
        "inference_time_ms": report.get("inference_time_ms"),
        "step_ms": report.get("step_ms"),
        "seed": report.get("seed", job.options.get("seed")),
        "steps": report.get("steps", job.options.get("steps")),
        "cfg": report.get("cfg", job.options.get("cfg")),
        "num_samples": job.samples or job.options.get("num_samples", 1),
        "width": report.get("width"),
        "height": report.get("height"),
        "mode": report.get("mode"),
        "engine": report.get("engine"),
        "model": report.get("model"),
        "photorealistic": report.get("photorealistic"),
        "restored": report.get("restored"),
        "ignored": report.get("ignored", []),
        "cancelling": job.cancelling and job.state == "running",
        "error": _error(job),
        "callbacks": [_callback(delivery) for delivery in job.deliveries],
        "result": result_url(job, root),
        "results": result_urls(job, root),
        "expires": job.expires,
    }


_STANDING: dict[State, str] = {
    "delivering": "the result is made and being delivered",
    "delivered": "the result is made and delivered",
    "dead_letter": "the result is made, but its receivers did not take it",
    "cancelled": "it was cancelled",
    "expired": "it is over, and its pictures have expired",
}


def progress_words(job: Job, position: int | None, live: tuple[float, str | None] | None) -> str:
    """Return how far a job is; see :func:`job_json` for the arguments."""
    if job.state == "queued":
        return "it waits" + (f", {position} before it" if position is not None else "")
    if job.state == "running":
        return f"it runs, {(live[0] if live else job.progress):.0%} done"
    if job.state == "failed":
        return f"it failed ({job.error.code})" if job.error else "it failed"
    return _STANDING[job.state]


def as_dated(job: Job, shift: float) -> Job:
    """Return a job with its times as the wall clock has them; ``shift`` is the jobs' clock's."""
    if not shift:
        return job

    def moved(moment: float | None) -> float | None:
        return None if moment is None else moment + shift

    return replace(
        job,
        created=job.created + shift,
        started=moved(job.started),
        finished=moved(job.finished),
        expires=moved(job.expires),
        deliveries=tuple(
            replace(delivery, next_attempt=moved(delivery.next_attempt))
            for delivery in job.deliveries
        ),
    )


def job_url(job_id: str, root: str) -> str:
    """Return the path of a job."""
    return f"{root}/jobs/{quote(job_id, safe='')}"


def result_url(job: Job, root: str) -> str | None:
    """Return the path of a job's result, None where there is none (any more)."""
    if job.result is None or job.state == "expired":
        return None
    return f"{job_url(job.id, root)}/result"


def result_urls(job: Job, root: str) -> list[str]:
    """Return the paths of all pictures of a job."""
    first = result_url(job, root)
    if first is None:
        return []
    return [first, *(f"{first}?sample={number}" for number in range(2, job.samples + 1))]


def cursor_of(job: Job) -> str:
    """Return an opaque mark after which a list goes on."""
    return base64.urlsafe_b64encode(json.dumps([job.created, job.id]).encode()).decode()


def read_cursor(text: str) -> tuple[float, str]:
    """Return what :func:`cursor_of` has hidden.

    Raises:
        BadRequestError: it was not made by that.
    """
    try:
        return _CURSOR.validate_json(base64.urlsafe_b64decode(text.encode()))
    except ValueError:  # pydantic's and that of base64 are such
        raise BadRequestError("cursor is not one of this server's") from None


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_WithoutNul = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]  # PostgreSQL keeps none
_CURSOR = TypeAdapter(tuple[_Finite, _WithoutNul])


def _error(job: Job) -> JobError | None:
    if job.error is None:
        return None
    detail = WORDS.get(job.error.code, WORDS["pipeline"])
    return {"code": job.error.code, "step": job.error.step, "detail": detail}


def _callback(delivery: Delivery) -> JobCallback:
    return {
        "destination": delivery.destination,
        "event_id": delivery.event_id,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt": delivery.next_attempt,
        "last_status": delivery.last_status,
    }
