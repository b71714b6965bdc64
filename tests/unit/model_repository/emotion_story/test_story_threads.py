"""Bounded pool, watch for cancellations, and pictures of a request."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from bounded_pool import BoundedPool
from cancel_watch import CancelWatch
from pictures.decoding import ImageError
from PIL import Image
from story_images import MAX_IMAGES, decode_all

SECONDS = 60


def test_a_pool_refuses_what_does_not_fit_and_recovers() -> None:
    pool = BoundedPool("test", 1, 100)
    release, done = threading.Event(), threading.Semaphore(0)

    def job() -> None:
        release.wait(SECONDS)
        done.release()

    assert pool.submit(60, job)
    assert pool.submit(40, job)
    assert not pool.submit(1, job)
    release.set()
    assert done.acquire(timeout=SECONDS)
    assert done.acquire(timeout=SECONDS)
    pool.stop()  # waits for the bookkeeping too
    assert pool._free == 100
    assert not pool.submit(1, job)


def test_a_job_that_raises_gives_its_room_back() -> None:
    pool = BoundedPool("test", 1, 10)

    def fail() -> None:
        raise RuntimeError

    assert pool.submit(10, fail)
    pool.stop()
    assert pool._free == 10


def test_a_job_whose_client_has_gone_is_cancelled_once() -> None:
    told: list[str] = []
    seen = threading.Event()
    gone = threading.Event()
    watch = CancelWatch(lambda job: (told.append(job), seen.set()))
    try:
        with watch.watched(gone.is_set) as job, watch.watched(lambda: False) as other:
            assert job != other
            gone.set()
            assert seen.wait(SECONDS)
            assert not threading.Event().wait(0.6)  # two more looks
            assert told == [job]
    finally:
        watch.stop()


def test_a_finished_job_is_watched_no_more() -> None:
    told: list[str] = []
    watch = CancelWatch(told.append)
    with watch.watched(lambda: False):
        pass
    with watch.watched(lambda: False):
        assert len(watch._jobs) == 1
    watch.stop()
    assert told == []


def saved(size: tuple[int, int]) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(sink, "PNG")
    return sink.getvalue()


def test_pictures_are_made_small() -> None:
    large, small = decode_all([saved((1000, 500)), saved((50, 40))], 10**6, 640)
    assert large.shape == (320, 640, 3)
    assert small.shape == (40, 50, 3)
    assert np.array_equal(small[0, 0], [200, 10, 10])


@pytest.mark.parametrize(
    ("bad", "code"),
    [(b"", "image_empty"), (b"zz", "image_invalid"), (saved((2000, 2000)), "image_too_large")],
)
def test_a_bad_picture_is_named(bad: bytes, code: str) -> None:
    with pytest.raises(ImageError, match=rf"^{code}: index=1: ") as caught:
        decode_all([saved((5, 5)), bad, b""], 10**6, 640)
    assert caught.value.code == code


def test_the_number_of_pictures_is_bounded() -> None:
    with pytest.raises(ImageError, match=r"^image_excess: "):
        decode_all([saved((5, 5))] * (MAX_IMAGES + 1), 10**6, 640)
