"""Whose frames are computed next. Pure Python, no threads, no Triton.

A *job* is one request: some frames of one tenant. Workers take *steps*, which are consecutive
frames of one job. Turns go round over the tenants, and for each tenant over its jobs, so neither a
request of 50 frames nor a tenant with 50 requests keeps others waiting for more than one step of
everybody else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Job:
    """Frames of one request.

    Attributes:
        tenant: Whose turn its frames use up.
        frames: How many there are, at least one.
        work: What a worker needs to compute them; opaque here.
        next_frame: First frame that no worker has taken.
        running: Steps that workers have and have not finished.
        computed: Frames that are done.
        closed: Whether it was answered: finished, failed or dropped.
    """

    tenant: str
    frames: int
    work: Any = None
    next_frame: int = 0
    running: int = 0
    computed: int = 0
    closed: bool = False

    @property
    def settled(self) -> bool:
        """Whether it was answered and no worker touches its data any more."""
        return self.closed and self.running == 0


@dataclass(frozen=True)
class Step:
    """Frames `first` to `first + count - 1` of `job`, computed in one go."""

    job: Job
    first: int
    count: int


@dataclass
class FrameQueue:
    """Jobs under way, in turns.

    Attributes:
        size: Jobs that may be under way at once.
    """

    size: int
    _turns: deque[str] = field(default_factory=deque)
    _jobs: dict[str, deque[Job]] = field(default_factory=dict)
    _open: set[Job] = field(default_factory=set)

    def __len__(self) -> int:
        """Jobs under way: waiting, or answered with a step still running."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Jobs of which no frame was taken yet."""
        return sum(job.next_frame == 0 for jobs in self._jobs.values() for job in jobs)

    def add(self, job: Job) -> bool:
        """Queues a job; False when `size` are under way already."""
        if len(self._open) >= self.size:
            return False
        self._open.add(job)
        if job.tenant not in self._jobs:
            self._jobs[job.tenant] = deque()
            self._turns.append(job.tenant)
        self._jobs[job.tenant].append(job)
        return True

    def take(self, most: int) -> Step | None:
        """Return the next step, of at most `most` frames; None when nothing waits."""
        if not self._turns:
            return None
        tenant = self._turns.popleft()
        jobs = self._jobs[tenant]
        job = jobs.popleft()
        count = min(most, job.frames - job.next_frame)
        step = Step(job, job.next_frame, count)
        job.next_frame += count
        job.running += 1
        if job.next_frame < job.frames:
            jobs.append(job)
        if jobs:
            self._turns.append(tenant)
        else:
            del self._jobs[tenant]
        return step

    def done(self, step: Step) -> bool:
        """Take a computed step back; True when that finished its job."""
        job = step.job
        job.running -= 1
        job.computed += step.count
        finished = not job.closed and job.computed == job.frames
        job.closed = job.closed or finished
        self._forget_settled(job)
        return finished

    def give_back(self, step: Step) -> None:
        """Take a step back that was not computed; its job must have been dropped."""
        step.job.running -= 1
        self._forget_settled(step.job)

    def drop(self, job: Job) -> bool:
        """Close a job and forget its waiting frames; False when it was closed already."""
        if job.closed:
            return False
        job.closed = True
        jobs = self._jobs.get(job.tenant)
        if jobs is not None and job in jobs:
            jobs.remove(job)
            if not jobs:
                del self._jobs[job.tenant]
                self._turns.remove(job.tenant)
        self._forget_settled(job)
        return True

    def _forget_settled(self, job: Job) -> None:
        if job.settled:
            self._open.discard(job)
