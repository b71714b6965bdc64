"""Whose frames are computed next. Pure Python, no threads, no Triton.

A *job* is one request: some frames of one tenant. Workers take *steps*, which are consecutive
frames of one job. In a round every tenant that waits has one step, so neither a request of 50
frames nor a tenant with 50 requests keeps others waiting for more than one step of everybody else.
Within a round, and among a tenant's jobs, the frame that is due first comes first; frames that are
due at no time come after those, in turns.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Job:
    """Frames of one request.

    Attributes:
        tenant: Whose turn its frames use up.
        frames: How many there are, at least one.
        work: What a worker needs to compute them; opaque here.
        due: When its first frame has to be there, in seconds of any clock; infinite: at no time.
        spacing: Seconds between two frames.
        next_frame: First frame that no worker has taken.
        running: Steps that workers have and have not finished.
        computed: Frames that are done.
        closed: Whether it was answered: finished, failed or dropped.
    """

    tenant: str
    frames: int
    work: Any = None
    due: float = math.inf
    spacing: float = 0.0
    next_frame: int = 0
    running: int = 0
    computed: int = 0
    closed: bool = False

    @property
    def next_due(self) -> float:
        """When the next frame that nobody has taken has to be there."""
        return self.due + self.next_frame * self.spacing

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


Waiting = tuple[float, int, Job]
"""When a job's next frame is due, its place among equals, and the job."""
Turn = tuple[int, float, int, str]
"""A tenant's round, when its first frame is due, since when it waits, and the tenant."""


@dataclass
class FrameQueue:
    """Jobs under way, in rounds over the tenants.

    Attributes:
        size: Jobs that may be under way at once.
    """

    size: int
    _jobs: dict[str, list[Waiting]] = field(default_factory=dict)
    _turns: list[Turn] = field(default_factory=list)
    _current: dict[str, Turn] = field(default_factory=dict)
    _next_round: dict[str, int] = field(default_factory=dict)
    _since: dict[str, int] = field(default_factory=dict)
    _round: int = 0
    _places: int = 0
    _open: set[Job] = field(default_factory=set)

    def __len__(self) -> int:
        """Jobs under way: waiting, or answered with a step still running."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Jobs of which no frame was taken yet."""
        return sum(job.next_frame == 0 for jobs in self._jobs.values() for *_, job in jobs)

    def add(self, job: Job) -> bool:
        """Queues a job; False when `size` are under way already."""
        if len(self._open) >= self.size:
            return False
        self._open.add(job)
        self._wait(job)
        return True

    def take(self, most: int) -> Step | None:
        """Return the next step, of at most `most` frames; None when nothing waits."""
        while self._turns:
            turn = heapq.heappop(self._turns)
            tenant = turn[-1]
            if self._current.get(tenant) == turn:
                return self._step(tenant, turn[0], most)
        return None

    def _step(self, tenant: str, number: int, most: int) -> Step:
        self._round = number
        self._next_round[tenant] = number + 1
        if len(self._next_round) > 2 * len(self._jobs) + self.size:
            later = {name: at for name, at in self._next_round.items() if at > self._round}
            self._next_round = later
        self._places += 1
        self._since[tenant] = self._places
        *_, job = heapq.heappop(self._jobs[tenant])
        count = min(most, job.frames - job.next_frame)
        step = Step(job, job.next_frame, count)
        job.next_frame += count
        job.running += 1
        if job.next_frame < job.frames:
            self._wait(job)
        else:
            self._turn(tenant)
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
        jobs = self._jobs.get(job.tenant, [])
        kept = [entry for entry in jobs if entry[-1] is not job]
        if len(kept) < len(jobs):
            heapq.heapify(kept)
            self._jobs[job.tenant] = kept
            self._turn(job.tenant)
        self._forget_settled(job)
        return True

    def _wait(self, job: Job) -> None:
        """Put a job among those of its tenant, behind those that are due at the same time."""
        self._places += 1
        jobs = self._jobs.setdefault(job.tenant, [])
        heapq.heappush(jobs, (job.next_due, self._places, job))
        self._turn(job.tenant)

    def _turn(self, tenant: str) -> None:
        """Set a tenant's turn anew: by its round, then by the frame of its that is due first."""
        jobs = self._jobs[tenant]
        if not jobs:
            del self._jobs[tenant]
            self._current.pop(tenant, None)
            self._since.pop(tenant, None)
            return
        number = max(self._round, self._next_round.get(tenant, 0))
        turn = (number, jobs[0][0], self._since.setdefault(tenant, self._places), tenant)
        if self._current.get(tenant) != turn:
            self._current[tenant] = turn
            heapq.heappush(self._turns, turn)

    def _forget_settled(self, job: Job) -> None:
        if job.settled:
            self._open.discard(job)
