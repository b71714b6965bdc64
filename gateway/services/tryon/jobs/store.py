"""What keeps the jobs; dispatcher, delivery_worker and API depend on this alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gateway.services.tryon.jobs.models import (
    Delivery,
    Destination,
    Held,
    Job,
    NewJob,
    Outcome,
    State,
)


class JobConflictError(Exception):
    """The id belongs to a job with another body."""


class QueueFullError(Exception):
    """The node has as many jobs as it takes."""


class StoreError(Exception):
    """The database does not do its work."""


class JobStore(Protocol):
    """Every method is one transaction, durable when it returns.

    Those that change a running job or a delivery under way name the owner: they do nothing once it
    has passed to another gateway. All of them raise StoreError when the database fails.
    """

    async def add(self, job: NewJob, capacity: int) -> bool:
        """Accept a job; False when it is there already with the same body.

        Raises:
            JobConflictError: it is there with another body.
            QueueFullError: ``capacity`` jobs of the node are queued or running.
        """

    async def get(self, job_id: str) -> Job | None:
        """Return a job, None where there is none."""

    async def line(self) -> Sequence[str]:
        """Return the ids of the queued jobs, the next one first."""

    async def page(
        self, state: State | None, limit: int, before: tuple[float, str] | None
    ) -> Sequence[Job]:
        """Return jobs, newest first, those accepted ``before`` (time, id) of another."""

    async def counts(self) -> Mapping[State, int]:
        """Return how many jobs are in each state."""

    async def queued(self, node: str) -> int:
        """Return how many queued jobs the node has accepted."""

    async def claim(self, node: str, owner: str, lease: float, now: float) -> Job | None:
        """Take the oldest queued job into work, None without one."""

    async def renew(
        self, owner: str, lease: float, progress: Mapping[str, tuple[float, str | None]]
    ) -> None:
        """Prolong the named jobs of the owner, and write down how far they are."""

    async def to_cancel(self, owner: str) -> Collection[str]:
        """Return the owner's running jobs that somebody has asked to cancel."""

    async def finish(
        self, job: Job, outcome: Outcome, deliveries: Sequence[Delivery], ttl: float
    ) -> bool:
        """End a job's inference; False when it was no longer this attempt's."""

    async def release(self, job: Job, *, counted: bool) -> None:
        """Put a running job back into the queue; ``counted`` says whether the attempt counts."""

    async def cancel(
        self, job_id: str, now: float, deliveries: Sequence[Delivery], ttl: float
    ) -> Job | None:
        """Cancel a queued job, ask a running one's owner to, and return the job as it was."""

    async def held(self) -> Collection[Held]:
        """Return the jobs and deliveries that somebody has in work."""

    async def take_over(self, lost: Collection[Held]) -> int:
        """Free what is still held as it was when it was given up; return how many jobs."""

    async def overdue(self, now: float) -> Sequence[Job]:
        """Return queued jobs whose deadline has passed."""

    async def due(
        self, destination: Destination, owner: str, lease: float, now: float, limit: int
    ) -> Sequence[Delivery]:
        """Take a receiver's deliveries that are due into work, the longest due first.

        One that would be due later than any pause lasts is due now: its time was written down by
        a clock that was wrong.
        """

    async def next_due(self, destinations: Collection[Destination]) -> float | None:
        """Return when the receivers' next delivery is due that nobody has in work."""

    async def attempted(self, delivery: Delivery, owner: str, unblock: Destination | None) -> bool:
        """Write down the result of an attempt; False when it was no longer the owner's.

        Args:
            delivery: as it is now.
            owner: who made the attempt.
            unblock: the destination that may be told now.
        """

    async def redeliver(self, job_id: str, now: float) -> Job | None:
        """Make a finished job's callbacks due again and return it; None where there is none."""

    async def pending(self) -> Mapping[str, int]:
        """Return how many deliveries are pending, by destination."""

    async def expire(self, now: float) -> Sequence[str]:
        """Mark jobs whose files have had their time, and return the files' folders."""

    async def forget(self, before: float) -> int:
        """Delete the records of jobs that expired and ended before; return how many."""

    async def folders(self) -> Collection[str]:
        """Return the folders of all jobs that have files."""

    async def close(self) -> None:
        """Close the connections."""
