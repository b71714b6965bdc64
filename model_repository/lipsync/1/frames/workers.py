"""Threads that compute the frames of a queue. No Triton."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

from lipsync_errors import CancelledError, DeadlineError

from frames.denormals import flush_denormals
from frames.scheduler import FrameQueue, Job, Step

CANCEL_PERIOD = 0.05
"""Seconds between two questions whether a request was cancelled: each is a round trip to the
server, and narrow networks compute a frame in less."""

RECENT = 0.05
"""Weight of the last step in the mean time of a frame."""


class Work(Protocol):
    """What a job carries; its methods are called from worker threads."""

    deadline: float | None
    """Time of `time.monotonic` after which the answer is of no use."""
    checked: float
    """When it was last asked whether it was cancelled."""
    started: float | None
    """When its first frame was taken."""

    def compute(self, worker: int, first: int, count: int) -> None:
        """Compute frames; may raise anything."""

    def is_cancelled(self) -> bool:
        """Whether the client has gone."""

    def finish(self) -> None:
        """All frames are computed; called once, unless `fail` is."""

    def fail(self, error: BaseException) -> None:
        """There will be no answer; called once, unless `finish` is."""

    def release(self) -> None:
        """No worker touches the job's data any more; called once, mostly before the answer."""


class FrameWorkers:
    """A fixed number of threads over one queue."""

    def __init__(
        self,
        queue: FrameQueue,
        workers: int,
        most: int,
        changed: Callable[[int, int], None] = lambda running, waiting: None,
    ) -> None:
        """Start the threads.

        Args:
            queue: Empty; only this object touches it from now on.
            workers: Threads; each is a number from 0 for `Work.compute`.
            most: Frames that an engine computes in one step.
            changed: Told the jobs under way and waiting whenever they change.
        """
        self._queue = queue
        self._most = most
        self._told = changed
        self._changed = threading.Condition()
        self._stopping = False
        self._seconds = 0.0  # of a frame, a moving average
        self._threads = [
            threading.Thread(target=self._loop, args=(number,), name=f"frames-{number}")
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def submit(self, job: Job) -> bool:
        """Queues a job whose `work` is a `Work`; False when the queue is full."""
        with self._changed:
            if self._stopping or not self._queue.add(job):
                return False
            # A worker is woken for each step it could take, not for each frame.
            self._changed.notify(min(len(self._threads), -(-job.frames // self._most)))
            load = self.load
        self._told(*load)
        return True

    @property
    def load(self) -> tuple[int, int]:
        """Jobs with frames in work, and jobs that wait for their first."""
        waiting = self._queue.waiting
        return len(self._queue) - waiting, waiting

    @property
    def frames_per_second(self) -> float | None:
        """What all threads together make while they are busy; None before the first frames."""
        return len(self._threads) / self._seconds if self._seconds else None

    def stop(self) -> None:
        """Finishes what was queued, then ends the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _loop(self, worker: int) -> None:
        flush_denormals()  # of activations: the weights have none
        while (step := self._next()) is not None:
            work: Work = step.job.work
            try:
                self._check(work)
                begin = time.monotonic()
                work.compute(worker, step.first, step.count)
                self._measure((time.monotonic() - begin) / step.count)
            except BaseException as error:  # a worker never ends: the error is the request's
                self._give_up(step, error)
            else:
                self._deliver(step)
            del step, work  # an idle worker keeps no request's tensors

    def _measure(self, seconds: float) -> None:
        """Take the time of a frame into the mean; of two at once one may be lost."""
        known = self._seconds
        self._seconds = seconds if known == 0 else known + RECENT * (seconds - known)

    def _next(self) -> Step | None:
        with self._changed:
            while True:
                step = self._queue.take(self._most)
                if step is not None:
                    if step.job.work.started is None:
                        step.job.work.started = time.monotonic()
                    return step
                if self._stopping:
                    return None
                self._changed.wait()

    def _check(self, work: Work) -> None:
        now = time.monotonic()
        if work.deadline is not None and now > work.deadline:
            raise DeadlineError
        if now - work.checked > CANCEL_PERIOD:
            work.checked = now
            if work.is_cancelled():
                raise CancelledError

    def _deliver(self, step: Step) -> None:
        with self._changed:
            finished = self._queue.done(step)
            settled, load = step.job.settled, self.load
        work = step.job.work
        if settled:
            self._close(work, load)
        if finished:
            try:
                work.finish()
            except Exception as error:
                _fail(work, error)

    def _give_up(self, step: Step, error: BaseException) -> None:
        with self._changed:
            first = self._queue.drop(step.job)
            self._queue.give_back(step)
            settled, load = step.job.settled, self.load
        work = step.job.work
        if settled:
            self._close(work, load)
        if first:
            _fail(work, error)

    def _close(self, work: Work, load: tuple[int, int]) -> None:
        work.release()
        self._told(*load)


def _fail(work: Work, error: BaseException) -> None:
    # An answer that cannot be sent any more must not end the worker.
    with contextlib.suppress(Exception):
        work.fail(error)
