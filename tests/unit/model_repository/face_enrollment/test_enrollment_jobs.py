"""Crops of many enrollments share batches, and every enrollment gets its own back, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from enrollment.jobs import CancelledError, Enroller, Job
from faces.search import SearchResult
from row_batches import RowBatches

SECONDS = 60


def crops(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)


class Network:
    """Embeds a crop as its first pixel; holds batches back until told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.asked = threading.Condition()
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self.asked:
            self.batches.append(len(images))
            self.asked.notify_all()
        assert self.open.wait(SECONDS)
        if self.error:
            raise self.error
        return images[:, 0, 0, :1].astype(np.float32)

    def wait_for_batches(self, count: int) -> None:
        with self.asked:
            assert self.asked.wait_for(lambda: len(self.batches) >= count, SECONDS)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def batches(network: Network) -> Iterator[RowBatches]:
    made = RowBatches(network, "crops", batches=2, batch_rows=4)
    yield made
    network.open.set()
    made.stop()


def test_crops_come_back_in_their_order_whatever_shares_their_batches(
    batches: RowBatches, network: Network
) -> None:
    sizes = np.random.default_rng(1).integers(1, 9, 60)
    given = [crops(*range(start, start + size)) for start, size in enumerate(sizes)]
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(batches.submit, given))
    for one, future in zip(given, futures, strict=True):
        assert np.array_equal(np.stack(future.result(SECONDS)), one[:, 0, 0, :1])
    assert sum(network.batches) == sizes.sum()
    assert max(network.batches) <= 4


def test_what_waits_goes_together(batches: RowBatches, network: Network) -> None:
    network.open.clear()
    busy = []
    for number in (1, 2):
        busy.append(batches.submit(crops(number)))
        network.wait_for_batches(number)
    waiting = [batches.submit(crops(number)) for number in range(3, 7)]
    network.open.set()
    answers = [future.result(SECONDS)[0].item() for future in (*busy, *waiting)]
    assert answers == [1, 2, 3, 4, 5, 6]
    assert sorted(network.batches) == [1, 1, 4]


def test_a_failed_batch_fails_its_pictures_only(batches: RowBatches, network: Network) -> None:
    network.error = RuntimeError("the network is down")
    with pytest.raises(RuntimeError, match="down"):
        batches.submit(crops(*range(9))).result(SECONDS)
    network.error = None
    assert np.stack(batches.submit(crops(7)).result(SECONDS)).item() == 7


def test_a_network_that_loses_rows_is_an_error() -> None:
    short = RowBatches(lambda images: images[1:, 0, 0, :1], "crops", batches=1, batch_rows=4)
    with pytest.raises(RuntimeError, match="1 results of 2"):
        short.submit(crops(1, 2)).result(SECONDS)
    short.stop()


Search = Callable[[bytes, bool], SearchResult]


class Answers:
    """Collects what becomes of jobs."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.errors: list[Exception] = []
        self.changed = threading.Condition()

    def answer(self, job: Job) -> None:
        with self.changed:
            self.jobs.append(job)
            self.changed.notify_all()

    def refuse(self, error: Exception) -> None:
        with self.changed:
            self.errors.append(error)
            self.changed.notify_all()

    def wait(self, count: int) -> None:
        with self.changed:
            reached = self.changed.wait_for(
                lambda: len(self.jobs) + len(self.errors) >= count, SECONDS
            )
        assert reached

    def job(self, images: list[bytes], search: Search | None = None, **changes: object) -> Job:
        options: dict[str, object] = {
            "embedded": True,
            "answer": self.answer,
            "refuse": self.refuse,
            "is_cancelled": lambda: False,
        }
        return Job(images, search or look, 0, **{**options, **changes})


@pytest.fixture
def answers() -> Answers:
    return Answers()


def look(data: bytes, with_thumbnail: bool) -> SearchResult:
    """A picture of n bytes has n crops; one of none has no face."""
    if data == b"broken":
        raise RuntimeError("the detector is down")
    thumbnail = b"portrait" if with_thumbnail else None
    if not data:
        return SearchResult(reason="no_face", thumbnail=thumbnail)
    return SearchResult(crops=crops(*data), thumbnail=thumbnail)


Make = Callable[..., Enroller]


@pytest.fixture
def make(batches: RowBatches) -> Iterator[Make]:
    made: list[Enroller] = []

    def build(**changes: object) -> Enroller:
        options: dict[str, object] = {"searchers": 3, "max_waiting_bytes": 100}
        made.append(Enroller(batches, **{**options, **changes}))
        return made[-1]

    yield build
    for enroller in made:
        enroller.stop()


def test_a_job_is_answered_with_every_picture_in_its_place(make: Make, answers: Answers) -> None:
    enroller = make()
    assert enroller.submit(answers.job([b"\x05\x06", b"", b"\x07"]))
    answers.wait(1)
    (job,) = answers.jobs
    assert [found.reason for found in job.results] == [None, "no_face", None]
    assert [found.thumbnail for found in job.results] == [b"portrait", None, None]
    assert [None if part is None else part.ravel().tolist() for part in job.embeddings] == [
        [5, 6],
        None,
        [7],
    ]


def test_small_pictures_pass_large_ones(make: Make, answers: Answers) -> None:
    free = threading.Event()

    def search(data: bytes, with_thumbnail: bool) -> SearchResult:
        assert data != b"\x99" or free.wait(SECONDS)
        return look(data, with_thumbnail)

    enroller = make(is_large=lambda data: data == b"\x99")
    for _ in range(8):
        assert enroller.submit(answers.job([b"\x99"], search))
    for number in range(5):
        assert enroller.submit(answers.job([bytes([number])], search))
    answers.wait(5)
    assert all(job.images != [b"\x99"] for job in answers.jobs)
    free.set()
    answers.wait(13)
    assert not answers.errors


def test_nothing_is_embedded_that_nobody_wants(
    make: Make, answers: Answers, network: Network
) -> None:
    make().submit(answers.job([b"\x05"], embedded=False))
    answers.wait(1)
    assert answers.jobs[0].results[0].crops is not None
    assert not network.batches


def test_one_broken_picture_refuses_its_job_once_and_no_other(make: Make, answers: Answers) -> None:
    enroller = make()
    enroller.submit(answers.job([b"broken", b"\x01", b"broken"]))
    enroller.submit(answers.job([b"\x02"]))
    answers.wait(2)
    assert [str(error) for error in answers.errors] == ["the detector is down"]
    assert len(answers.jobs) == 1


def test_a_dead_embedder_refuses_the_job(make: Make, answers: Answers, network: Network) -> None:
    network.error = RuntimeError("the embedder is down")
    make().submit(answers.job([b"\x01", b"\x02"]))
    answers.wait(1)
    assert [str(error) for error in answers.errors] == ["the embedder is down"]
    assert not answers.jobs


def test_an_answer_that_cannot_be_made_is_a_refusal(make: Make, answers: Answers) -> None:
    def unable(_: Job) -> None:
        raise ValueError("no direction")

    make().submit(answers.job([b"\x01"], answer=unable))
    answers.wait(1)
    assert [str(error) for error in answers.errors] == ["no direction"]


def test_more_bytes_than_may_wait_are_refused_and_free_again_after(
    make: Make, answers: Answers, network: Network
) -> None:
    network.open.clear()
    enroller = make(max_waiting_bytes=3)
    assert enroller.submit(answers.job([b"\x01\x02"]))
    assert not enroller.submit(answers.job([b"\x03\x04"]))
    network.open.set()
    answers.wait(1)
    assert enroller.submit(answers.job([b"\x05\x06\x07"]))
    answers.wait(2)


def test_nobody_works_for_a_client_who_has_gone(make: Make, answers: Answers) -> None:
    searched: list[bytes] = []

    def search(data: bytes, _: bool) -> SearchResult:
        searched.append(data)
        return SearchResult(reason="no_face")

    enroller = make(searchers=1, cancel_check_seconds=-1)
    enroller.submit(answers.job([b"a", b"b", b"c"], search, is_cancelled=lambda: True))
    answers.wait(1)
    enroller.stop()
    assert [type(error) for error in answers.errors] == [CancelledError]
    assert not searched


def test_stopping_finishes_what_was_accepted(make: Make, answers: Answers) -> None:
    enroller = make(searchers=1)
    for number in range(1, 20):
        assert enroller.submit(answers.job([bytes([number])]))
    enroller.stop()
    assert len(answers.jobs) == 19
