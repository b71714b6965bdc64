"""What is kept of a job and of its callbacks."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal[
    "queued", "running", "delivering", "delivered", "failed", "dead_letter", "cancelled", "expired"
]
Destination = Literal["asset_service", "load_balancer"]
DESTINATIONS: tuple[Destination, ...] = ("asset_service", "load_balancer")
DeliveryState = Literal["pending", "delivered", "dead_letter", "skipped"]

STATES: tuple[State, ...] = (
    "queued", "running", "delivering", "delivered", "failed", "dead_letter", "cancelled", "expired",
)  # fmt: skip
ACTIVE: tuple[State, ...] = ("queued", "running")
"""States of a job whose inference is not over."""
REDELIVERABLE: tuple[State, ...] = ("delivered", "failed", "dead_letter", "cancelled")


@dataclass(frozen=True)
class JobError:
    """Why a job has no result.

    Attributes:
        code: `input`, `pose`, `garment`, `pipeline`, `cancelled` or `timeout`.
        step: the workflow's step that failed, None where it was none of them.
    """

    code: str
    step: str | None = None


@dataclass(frozen=True)
class NewJob:
    """A job about to be accepted.

    Attributes:
        id: the caller's.
        digest: SHA-256 of everything the caller sent; the same id with another one is a conflict.
        folder: key of its files.
        user_id: as sent.
        session_id: as sent.
        provider: as sent.
        created: seconds since the epoch.
        deadline: when it has failed.
    """

    id: str
    digest: str
    folder: str
    node: str
    user_id: str
    session_id: str
    provider: str
    options: dict[str, Any]
    created: float
    deadline: float


@dataclass(frozen=True)
class Delivery:
    """One callback of a job.

    Attributes:
        destination: who receives it.
        event_id: the same in every attempt, so that receivers know repetitions.
        state: see DeliveryState.
        attempts: made so far; a redelivery counts from 0 again.
        next_attempt: when it is due; None while it waits for another one or is over.
        last_status: HTTP status of the last attempt, None without an answer.
        since: when it became due first; its age counts from here.
    """

    job_id: str
    destination: Destination
    event_id: str
    state: DeliveryState
    attempts: int = 0
    next_attempt: float | None = None
    last_status: int | None = None
    since: float = 0.0


@dataclass(frozen=True)
class Held:
    """What a gateway has in work; as long as it lives, it renews a job's lease.

    Attributes:
        destination: of the callback, None for the job itself.
        owner: the gateway process.
        lease: a mark that every renewal changes.
    """

    job_id: str
    destination: Destination | None
    owner: str
    lease: float


@dataclass(frozen=True)
class Job(NewJob):
    """A job as it is kept: a new one, and what became of it.

    Attributes:
        state: see the diagram in docs/services/tryon-jobs.md.
        owner: the gateway process that runs it.
        attempts: how often it was started.
        cancelling: whether somebody has asked to cancel it while it ran.
        started: when the last attempt began.
        finished: when its inference ended, one way or another.
        expires: when inputs and result go; None before it has finished.
        progress: 0..1, as last written; the owner knows better.
        step: of the workflow, as last written.
        result: name of the result's file, None without one.
        error: why there is no result.
    """

    state: State
    owner: str | None = None
    attempts: int = 0
    cancelling: bool = False
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    progress: float = 0.0
    step: str | None = None
    result: str | None = None
    content_type: str | None = None
    report: dict[str, Any] = field(default_factory=dict)
    error: JobError | None = None
    deliveries: tuple[Delivery, ...] = ()

    @property
    def samples(self) -> int:
        """How many pictures were made, 0 without a result."""
        return 0 if self.result is None else int(self.report.get("num_samples", 1))


@dataclass(frozen=True)
class Outcome:
    """How a job's inference ended.

    Attributes:
        finished: when.
        result: name of the result's file.
        error: where there is no result.
    """

    state: State
    finished: float
    result: str | None = None
    content_type: str | None = None
    report: dict[str, Any] = field(default_factory=dict)
    error: JobError | None = None


def event_id(job_id: str, destination: Destination) -> str:
    """Return the id of a job's event for one receiver; a job has one event, its end.

    It travels in a header and, between dots, in the signed content: other characters are hashed.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]{1,128}", job_id):
        return f"{job_id}_{destination}"
    return f"{hashlib.sha256(job_id.encode()).hexdigest()}_{destination}"
