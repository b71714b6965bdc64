"""`python -m load_tests.lipsync.conversation_orders`: orders of serving users who converse.

A simulation of what `conversations` measures, with orders that Pentad does not offer, too: the
model's own queue and the gateway's own admission of streams run in virtual time, with a fixed time
for a frame; nothing is computed and no transport is paid for. Users speak as there; offline callers
beside them want batches of 50 frames, due at no time, one after the other. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from export.lipsync.importing import model_code
from gateway.errors import BusyError
from gateway.services.lipsync.grpc.stream import MOST_FRAMES
from gateway.services.lipsync.grpc.stream_capacity import FRAMES_PER_SECOND, StreamCapacity
from gateway.services.lipsync.tenants.device import DeviceFigures
from gateway.settings.lipsync import LipsyncServerSettings
from load_tests.lipsync.conversations import BURST, FRAME, SILENCE, TALKING
from load_tests.servers import ROOT

WARM_UP = 40.0  # seconds after which as many speak as always
HEARD_AHEAD = 0.45  # seconds of sound after its own that a mouth needs
DESIGN_USERS = 710
SHARES = (0.6, 0.8, 0.95, 1.0, 1.15, 1.3)
OFFLINE_FRAMES = 50

with model_code(ROOT / "model_repository") as _module:
    _scheduler = _module("frames.scheduler")
FrameQueue, Job, Step = _scheduler.FrameQueue, _scheduler.Job, _scheduler.Step


class FirstCome:
    """One job after the other, as they came."""

    def __init__(self, size: int) -> None:
        self._jobs: deque[Any] = deque()

    def add(self, job: Any) -> bool:
        """Queues a job."""
        self._jobs.append(job)
        return True

    def take(self, most: int) -> Any:
        """Return the next step."""
        if not self._jobs:
            return None
        return self._taken(self._jobs[0], most)

    def done(self, step: Any) -> bool:
        """Take a step back; True when that finished its job."""
        step.job.computed += step.count
        return bool(step.job.computed == step.job.frames)

    def _taken(self, job: Any, most: int) -> Any:
        step = Step(job, job.next_frame, min(most, job.frames - job.next_frame))
        job.next_frame += step.count
        if job.next_frame == job.frames:
            self._jobs.remove(job)
        return step


class Turns(FirstCome):
    """A step of each job, in turns; every caller here has one job at a time."""

    def take(self, most: int) -> Any:
        """Return the next step."""
        step = super().take(most)
        if step and step.job.next_frame < step.job.frames:
            self._jobs.rotate(-1)
        return step


@dataclass
class Stream:
    """One burst of a user."""

    user: str
    begin: float
    frames: int
    leave: Callable[[], object]
    made: int = 0

    def heard(self, now: float) -> int:
        """Frames whose sound is there at a time."""
        return min(self.frames, max(0, math.floor((now - self.begin - HEARD_AHEAD) / FRAME + 1e-6)))


@dataclass
class Run:
    """One run of one order.

    Attributes:
        late: mouths of bursts that began after the warm-up.
    """

    queue: Any
    workers: int
    seconds: float
    delay: float
    capacity: StreamCapacity | None
    random: random.Random
    now: float = 0.0
    shown: int = 0
    late: int = 0
    bursts: int = 0
    refused: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _idle: int = 0

    def go(self, users: int, offline: int, length: float, warm_up: float) -> None:
        """Simulate."""
        self._idle, self._warm_up = self.workers, warm_up
        for number in range(users):
            first = self.random.expovariate(1 / SILENCE)
            self._at(first, lambda name=f"user {number}": self._speak(name))
        for number in range(offline):
            self._at(0.0, lambda name=f"offline {number}": self._batch(name))
        while self._events and self._events[0][0] < length:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

    def _speak(self, user: str) -> None:
        burst = self.random.uniform(*BURST)
        silence = self.random.expovariate(1 / SILENCE)
        self._at(self.now + burst + silence, lambda: self._speak(user))
        counted = self.now > self._warm_up
        self.bursts += counted
        leave: Callable[[], object] = lambda: None  # noqa: E731
        if self.capacity is not None:
            held = self.capacity.stream()
            try:
                held.__enter__()
            except BusyError:
                self.refused += counted
                return
            leave = lambda: held.__exit__(None, None, None)  # noqa: E731
        stream = Stream(user, self.now, round(burst * FRAMES_PER_SECOND), leave)
        self._at(self.now + HEARD_AHEAD + FRAME, lambda: self._ask(stream))

    def _ask(self, stream: Stream) -> None:
        """Ask for the mouths that can be made, as the gateway does: one inference at a time."""
        ready = min(stream.heard(self.now) - stream.made, MOST_FRAMES)
        if ready <= 0:
            moment = stream.begin + HEARD_AHEAD + (stream.made + 1) * FRAME
            self._at(max(moment, self.now + 1e-6), lambda: self._ask(stream))
            return
        due = stream.begin + (stream.made + 1) * FRAME + self.delay
        self._submit(Job(stream.user, ready, stream, due, FRAME))

    def _batch(self, name: str) -> None:
        self._submit(Job(name, OFFLINE_FRAMES))

    def _submit(self, job: Any) -> None:
        self.queue.add(job)
        while self._idle and (step := self.queue.take(1)):
            self._begin(step)

    def _begin(self, step: Any) -> None:
        self._idle -= 1
        self._at(self.now + step.count * self.seconds, lambda: self._end(step))

    def _end(self, step: Any) -> None:
        self._idle += 1
        if self.queue.done(step):
            self._finished(step.job)
        while self._idle and (following := self.queue.take(1)):
            self._begin(following)

    def _finished(self, job: Any) -> None:
        stream = job.work
        if stream is None:
            self._batch(job.tenant)
            return
        if stream.begin > self._warm_up:
            self.shown += job.frames
            # A client has the mouths of an inference when the last of them is made.
            self.late += sum(self.now > job.due + n * FRAME for n in range(job.frames))
        stream.made += job.frames
        if stream.made == stream.frames:
            stream.leave()
        else:
            self._ask(stream)


ORDERS: dict[str, tuple[Callable[[int], Any], bool]] = {
    "first come": (FirstCome, False),
    "turns": (Turns, False),
    "due first": (FrameQueue, False),
    "due first, admission": (FrameQueue, True),
}


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--users", type=int, default=DESIGN_USERS, help="at all of the capacity")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--offline", type=int, default=0, help="callers of batches beside them")
    parser.add_argument("--delay", type=float, default=0.7, help="seconds; see delay_ms")
    parser.add_argument(
        "--length", type=float, default=60.0, help="seconds of each run after WARM_UP"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    made = args.users * TALKING * FRAMES_PER_SECOND
    print(f"{made:.0f} frames/s by {args.workers} workers, {args.offline} offline callers\n")
    print("| users | load | " + " | ".join(f"{name}: in time" for name in ORDERS) + " | refused |")
    print("|--:|--:|" + "--:|" * (len(ORDERS) + 1))
    figures = DeviceFigures(made, args.workers)
    for share in SHARES:
        users, cells, refused = round(share * args.users), [], 0.0
        for make, admits in ORDERS.values():
            capacity = StreamCapacity(lambda: figures, LipsyncServerSettings().stream_share)
            run = Run(
                make(10**6),
                args.workers,
                args.workers / made,
                args.delay,
                capacity if admits else None,
                random.Random(args.seed),
            )
            run.go(users, args.offline, WARM_UP + args.length, WARM_UP)
            cells.append(f"{1 - run.late / max(1, run.shown):.2%}")
            refused = run.refused / max(1, run.bursts)
        print(f"| {users} | {share:.0%} | {' | '.join(cells)} | {refused:.1%} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
