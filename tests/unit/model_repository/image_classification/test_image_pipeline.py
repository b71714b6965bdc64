"""Right answers to the right requests; slow, bad and cancelled pictures hold up nobody else's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from image_pipeline import CancelledError, ImagePipeline, Job, PictureOutcome


@dataclass(frozen=True)
class Given:
    """A picture whose header was read: large ones begin with `large`."""

    data: bytes

    @property
    def is_large(self) -> bool:
        return self.data.startswith(b"large")


def prepare(data: bytes) -> np.ndarray:
    """A picture of one pixel: the first byte."""
    if data.startswith(b"bad"):
        raise ValueError("no picture")
    return np.full((1, 1, 3), data[0], np.uint8)


def classify(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits that tell the picture, and the size of the batch."""
    sizes = np.full((len(images), 1), len(images), np.int32)
    return images[:, 0, 0, :1].astype(np.float32), sizes


class Request:
    """One request and what became of it."""

    def __init__(self, *images: bytes, cancelled: bool = False) -> None:
        self.outcomes: list[PictureOutcome] | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
        self.job = Job(list(images), self._answer, self._refuse, lambda: cancelled)

    def _answer(self, outcomes: list[PictureOutcome]) -> None:
        self.outcomes = outcomes
        self.done.set()

    def _refuse(self, error: Exception) -> None:
        assert not self.done.is_set()
        self.error = error
        self.done.set()

    @property
    def pictures(self) -> list[int]:
        assert self.done.wait(60)
        assert self.outcomes is not None
        return [int(outcome.logits[0]) for outcome in self.outcomes]


@contextmanager
def pipeline(
    prepare: Callable[[bytes], np.ndarray] = prepare,
    classify: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = classify,
    **options: Any,
) -> Iterator[ImagePipeline]:
    settings = {"decoders": 2, "batches": 2, "batch_rows": 4, "max_waiting_bytes": 1000}
    running = ImagePipeline(
        Given, lambda picture: prepare(picture.data), classify, **{**settings, **options}
    )
    yield running
    running.stop()


def test_small_pictures_pass_large_ones() -> None:
    """Eight large ones kept both decoders, and everybody waited for them."""
    free = threading.Event()

    def slow(data: bytes) -> np.ndarray:
        assert not data.startswith(b"large") or free.wait(60)
        return prepare(data)

    with pipeline(slow) as running:
        large = [Request(b"large") for _ in range(8)]
        small = [Request(bytes([n])) for n in range(20)]
        assert all(running.submit(request.job) for request in [*large, *small])
        assert [request.pictures for request in small] == [[n] for n in range(20)]
        assert not any(request.done.is_set() for request in large)
        free.set()
        assert [request.pictures for request in large] == [[ord("l")]] * 8


def test_large_pictures_that_wait_are_finished_at_the_end() -> None:
    with pipeline() as running:
        requests = [Request(b"large", bytes([n]), b"large") for n in range(5)]
        assert all(running.submit(request.job) for request in requests)
    assert all(request.pictures[::2] == [ord("l")] * 2 for request in requests)


def test_answers_keep_the_order_of_the_request() -> None:
    requests = [Request(*(bytes([n + i]) for i in range(9))) for n in (10, 60, 110)]
    with pipeline() as running:
        assert all(running.submit(request.job) for request in requests)
        assert [request.pictures for request in requests] == [
            list(range(n, n + 9)) for n in (10, 60, 110)
        ]


def test_what_is_ready_goes_together_and_the_batch_is_told() -> None:
    free = threading.Event()
    sizes = []

    def slow(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(images))
        assert free.wait(60)
        return classify(images)

    first, others = Request(b"a"), [Request(bytes([i])) for i in range(6)]
    with pipeline(classify=slow, batches=1, decoders=1) as running:
        running.submit(first.job)
        wait_until(lambda: sizes == [1])
        for request in others:
            running.submit(request.job)
        wait_until(lambda: len(running._batches._rows) == 6)
        free.set()
        assert [request.pictures for request in others] == [[i] for i in range(6)]
    assert sizes == [1, 4, 2]
    assert [r.outcomes[0].batch_size for r in others if r.outcomes] == [4, 4, 4, 4, 2, 2]


def test_a_bad_picture_fails_its_own_request_only() -> None:
    bad, good = Request(b"a", b"bad", b"c"), [Request(bytes([i])) for i in range(20)]
    with pipeline() as running:
        for request in [*good[:10], bad, *good[10:]]:
            assert running.submit(request.job)
        assert [request.pictures for request in good] == [[i] for i in range(20)]
        assert bad.done.wait(60)
    assert str(bad.error) == "no picture"
    assert bad.outcomes is None


def test_a_slow_picture_lets_others_pass() -> None:
    free = threading.Event()

    def slow(data: bytes) -> np.ndarray:
        if data == b"slow":
            assert free.wait(60)
        return prepare(data)

    late, quick = Request(b"slow"), [Request(bytes([i])) for i in range(5)]
    with pipeline(slow) as running:
        for request in (late, *quick):
            running.submit(request.job)
        assert [request.pictures for request in quick] == [[i] for i in range(5)]
        assert not late.done.is_set()
        free.set()
        assert late.pictures == [ord("s")]
    assert late.outcomes is not None
    assert late.outcomes[0].preparation_ms > 0


def test_pictures_are_decoded_side_by_side() -> None:
    together = threading.Barrier(3)

    def meet(data: bytes) -> np.ndarray:
        together.wait(60)
        return prepare(data)

    requests = [Request(bytes([i])) for i in range(3)]
    with pipeline(meet, decoders=3) as running:
        for request in requests:
            running.submit(request.job)
        assert [request.pictures for request in requests] == [[0], [1], [2]]


@pytest.mark.parametrize("wrong", ["raises", "loses rows"])
def test_a_failing_network_fails_its_batch_and_the_pipeline_goes_on(wrong: str) -> None:
    def fail_on_x(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if ord("x") not in images:
            return classify(images)
        if wrong == "raises":
            raise RuntimeError("engine says no")
        return classify(images[1:])

    bad, good = Request(b"x"), Request(b"y")
    with pipeline(classify=fail_on_x, batches=1) as running:
        running.submit(bad.job)
        assert bad.done.wait(60)
        running.submit(good.job)
        assert good.pictures == [ord("y")]
    assert isinstance(bad.error, RuntimeError)


def test_too_many_waiting_bytes_are_refused_and_given_back() -> None:
    free = threading.Event()

    def slow(data: bytes) -> np.ndarray:
        assert free.wait(60)
        return prepare(data)

    held = Request(b"a" * 600)
    with pipeline(slow) as running:
        assert running.submit(held.job)
        assert not running.submit(Request(b"b" * 401).job)
        assert running.submit(Request(b"c" * 400).job)
        free.set()
        assert held.pictures == [ord("a")]
        wait_until(lambda: running._waiting_bytes == 0)
        assert running.submit(Request(b"d" * 1000).job)
    assert not running.submit(Request(b"late").job)


def test_cancelled_requests_are_not_decoded() -> None:
    decoded = []

    def count(data: bytes) -> np.ndarray:
        decoded.append(data)
        return prepare(data)

    gone = Request(b"a", b"b", cancelled=True)
    with pipeline(count, cancel_check_seconds=-1) as running:
        running.submit(gone.job)
        assert gone.done.wait(60)
    assert isinstance(gone.error, CancelledError)
    assert decoded == []


def test_an_answer_that_cannot_be_sent_does_not_end_the_workers() -> None:
    def broken(_: object) -> None:
        raise OSError("client gone")

    good = Request(b"y")
    with pipeline(decoders=1, batches=1) as running:
        running.submit(Job([b"x"], broken, broken, lambda: False))
        running.submit(Job([b"bad"], broken, broken, lambda: False))
        running.submit(good.job)
        assert good.pictures == [ord("y")]


def test_stopping_finishes_what_waits() -> None:
    def slow(data: bytes) -> np.ndarray:
        time.sleep(0.02)
        return prepare(data)

    requests = [Request(bytes([i])) for i in range(12)]
    with pipeline(slow) as running:
        for request in requests:
            running.submit(request.job)
    assert all(request.done.is_set() and request.outcomes for request in requests)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
