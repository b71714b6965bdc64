"""Workers: right values to the right jobs, failures and cancellations stay with their job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from row_encoding import RowEncoding, pad
from text_rows import Job, Row, RowQueue


def first_id(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Stands for the encoder: each row's first id and length."""
    return np.stack([ids[:, 0], mask.sum(1)], axis=1).astype(np.float32)


class Outcome:
    """One request: its answer or the reason for none."""

    def __init__(self, texts: list[str], cancelled: bool = False) -> None:
        self.answer: np.ndarray | None = None
        self.reason = ""
        self.done = threading.Event()
        self.texts = texts
        self.job = Job(self._answer, self._refuse, lambda: cancelled)
        self.rows = {text: [ord(text[0]), *range(len(text))] for text in texts}

    def _answer(self, rows: Mapping[Hashable, Row]) -> None:
        self.answer = np.stack([rows[text].value for text in self.texts])
        self.done.set()

    def _refuse(self, message: str) -> None:
        self.reason = message
        self.done.set()


def encoding(
    encode: Callable[[np.ndarray, np.ndarray], np.ndarray], **options: float
) -> RowEncoding:
    settings = {"workers": 2, "max_waiting": 100, "pad_token_id": 0, **options}
    return RowEncoding(RowQueue(4, 64), encode, **settings)  # type: ignore[arg-type]


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=8))
def test_padding_keeps_ids_and_marks_the_rest(rows: list[list[int]]) -> None:
    ids, mask = pad(rows, 0)
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape == mask.shape == (len(rows), max(map(len, rows)))
    assert [row[kept == 1].tolist() for row, kept in zip(ids, mask, strict=True)] == rows
    assert not ids[mask == 0].any()


def test_answers_follow_the_request_with_duplicates() -> None:
    running = encoding(first_id)
    outcomes = [Outcome(["b", "aa", "b", "cccc"]), Outcome(["cccc", "d"])]
    for outcome in outcomes:
        assert running.submit(outcome.job, outcome.rows)
    running.stop()
    assert outcomes[0].answer is not None
    assert outcomes[1].answer is not None
    assert [chr(int(row[0])) for row in outcomes[0].answer] == ["b", "a", "b", "c"]
    assert outcomes[1].answer[:, 1].tolist() == [5, 2]


def test_a_failing_chunk_fails_its_jobs_and_the_workers_go_on() -> None:
    def encode(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if ord("x") in ids[:, 0]:
            raise RuntimeError("engine says no")
        return first_id(ids, mask)

    running = encoding(encode, workers=1)
    bad, good = Outcome(["x"]), Outcome(["y"])
    running.submit(bad.job, bad.rows)
    assert bad.done.wait(60)
    running.submit(good.job, good.rows)
    assert good.done.wait(60)
    running.stop()
    assert (bad.answer, bad.reason) == (None, "engine says no")
    assert good.answer is not None


def test_an_answer_that_cannot_be_sent_does_not_end_the_worker() -> None:
    def broken(_: object) -> None:
        raise OSError("client gone")

    running = encoding(first_id, workers=1)
    lost = Job(broken, broken, lambda: False)
    running.submit(lost, {"a": [1]})
    good = Outcome(["b"])
    running.submit(good.job, good.rows)
    assert good.done.wait(60)
    running.stop()


def test_cancelled_jobs_are_not_encoded() -> None:
    encoded: list[int] = []

    def encode(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        encoded.extend(ids[:, 0].tolist())
        return first_id(ids, mask)

    running = encoding(encode, cancel_check_seconds=0)
    gone = Outcome(["a", "b"], cancelled=True)
    running.submit(gone.job, gone.rows)
    assert gone.done.wait(60)
    running.stop()
    assert gone.reason == "cancelled"
    assert encoded == []


def test_too_much_waiting_is_refused() -> None:
    running = encoding(first_id, max_waiting=2)
    outcome = Outcome(["a", "bb", "ccc"])
    assert not running.submit(outcome.job, outcome.rows)
    running.stop()
    assert not running.submit(Outcome(["late"]).job, {"late": [1]})


def test_finished_jobs_let_go_of_their_rows() -> None:
    running = encoding(first_id)
    outcome = Outcome(["a", "b"])
    running.submit(outcome.job, outcome.rows)
    running.stop()
    assert outcome.job.rows == []


@pytest.mark.parametrize("wrong", [0, 2])
def test_an_encoder_that_loses_rows_is_an_error(wrong: int) -> None:
    running = encoding(lambda ids, mask: np.zeros((wrong, 2), np.float32))
    outcome = Outcome(["a"])
    running.submit(outcome.job, outcome.rows)
    assert outcome.done.wait(60)
    running.stop()
    assert outcome.answer is None


def test_one_request_keeps_every_worker_busy() -> None:
    together = threading.Barrier(3, timeout=20)

    def meeting(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        together.wait()
        return first_id(ids, mask)

    running = encoding(meeting, workers=3)
    outcome = Outcome([chr(ord("a") + number) * 60 for number in range(3)])  # a chunk for each
    assert running.submit(outcome.job, outcome.rows)
    assert outcome.done.wait(30)
    assert outcome.reason == ""
    running.stop()


def test_a_single_row_wakes_a_single_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    take = RowQueue.take
    monkeypatch.setattr(RowQueue, "take", lambda queue: looks.append(len(queue)) or take(queue))
    running = encoding(first_id, workers=4)
    looks.clear()
    for text in ("a", "b", "c"):
        outcome = Outcome([text])
        assert running.submit(outcome.job, outcome.rows)
        assert outcome.done.wait(30)
    running.stop()
    # Each text is taken once, and who took it looks once more; all look when they are to end.
    assert len(looks) <= 3 * 2 + 4 + 4
