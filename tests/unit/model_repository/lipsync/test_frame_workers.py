"""The threads: answers once, cancellation and deadlines between frames, no thread ever dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from frames.scheduler import FrameQueue, Job
from frames.workers import FrameWorkers
from lipsync_errors import CancelledError, DeadlineError


class Work:
    """Counts what happens to it; `each` runs for every frame."""

    def __init__(self, each: Callable[[int], None] = lambda frame: None) -> None:
        self.each = each
        self.deadline: float | None = None
        self.checked = 0.0
        self.started: float | None = None
        self.gone = False
        self.events: list[str] = []
        self.error: BaseException | None = None
        self.ended = threading.Semaphore(0)
        self.frames: list[int] = []

    def compute(self, worker: int, first: int, count: int) -> None:
        for frame in range(first, first + count):
            self.each(frame)
            self.frames.append(frame)

    def is_cancelled(self) -> bool:
        return self.gone

    def finish(self) -> None:
        self.note("finish")

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.note("fail")

    def release(self) -> None:
        self.note("release")

    def note(self, event: str) -> None:
        self.events.append(event)
        self.ended.release()

    def wait(self) -> None:
        """Until it was both answered and released."""
        for _ in range(2):
            assert self.ended.acquire(timeout=60)


@pytest.fixture
def workers():
    made = FrameWorkers(FrameQueue(16), 2, 1)
    yield made
    made.stop()


def run(workers: FrameWorkers, work: Work, frames: int = 4) -> Work:
    assert workers.submit(Job("a", frames, work))
    work.wait()
    return work


def test_a_job_is_answered_and_released_once(workers: FrameWorkers) -> None:
    work = run(workers, Work(), frames=20)
    assert work.events == ["release", "finish"]
    assert sorted(work.frames) == list(range(20))
    assert work.started is not None


def test_an_error_ends_one_job_and_no_thread(workers: FrameWorkers) -> None:
    def fails(frame: int) -> None:
        raise MemoryError if frame == 1 else ValueError

    for _ in range(5):  # more than there are threads
        work = run(workers, Work(fails))
        assert sorted(work.events) == ["fail", "release"]
        assert isinstance(work.error, (ValueError, MemoryError))
    assert run(workers, Work()).events == ["release", "finish"]


def test_a_cancelled_job_stops_between_frames(workers: FrameWorkers) -> None:
    def each(frame: int) -> None:
        work.gone = work.gone or len(work.frames) >= 2  # the client leaves after the second frame
        time.sleep(0.03)

    work = Work(each)
    assert workers.submit(Job("a", 1000, work))
    work.wait()
    assert isinstance(work.error, CancelledError)
    assert len(work.frames) < 20


def test_a_job_whose_time_is_over_is_not_computed(workers: FrameWorkers) -> None:
    work = Work()
    work.deadline = time.monotonic() - 1
    run(workers, work)
    assert isinstance(work.error, DeadlineError)
    assert work.frames == []


def test_frames_of_two_tenants_alternate() -> None:
    workers = FrameWorkers(FrameQueue(16), 1, 1)
    order: list[str] = []
    hold = threading.Event()
    first = Work(lambda frame: hold.wait(60))
    works = {name: Work(lambda frame, name=name: order.append(name)) for name in ("b", "c")}
    workers.submit(Job("a", 1, first))
    for name, work in works.items():
        workers.submit(Job(name, 3, work))
    hold.set()
    for work in works.values():
        work.wait()
    workers.stop()
    assert order == ["b", "c"] * 3


def test_an_answer_that_cannot_be_sent_fails_the_job_only(workers: FrameWorkers) -> None:
    work = Work()

    def broken() -> None:
        raise OSError("client gone")

    work.finish = broken  # type: ignore[method-assign]
    assert "release" in run(workers, work).events
    assert isinstance(work.error, OSError)


def test_stop_finishes_what_was_queued() -> None:
    workers = FrameWorkers(FrameQueue(16), 2, 1)
    works = [Work(lambda frame: time.sleep(0.01)) for _ in range(5)]
    for work in works:
        workers.submit(Job("a", 3, work))
    workers.stop()
    assert [work.events for work in works] == [["release", "finish"]] * 5
    assert not workers.submit(Job("a", 1, Work()))


def test_load_is_told_and_returns_to_zero() -> None:
    told: list[tuple[int, int]] = []
    workers = FrameWorkers(FrameQueue(16), 1, 1, lambda *load: told.append(load))
    run(workers, Work())
    workers.stop()
    assert (0, 1) in told or (1, 0) in told
    assert told[-1] == (0, 0)
