"""A request's mouths: computed in parts, answered once, their memory used again."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from frames.mouth_work import MouthArrays, MouthWork
from hypothesis import given
from hypothesis import strategies as st
from tenants.table import Resident, TenantTable

STEPS = st.lists(
    st.tuples(st.sampled_from([np.float32, np.float16, np.uint8]), st.integers(1, 8)), max_size=30
)


class Engine:
    """Answers with the number of the call."""

    most_frames = 4
    calls = 0

    def run(self, worker: int, weights: Any, frames: Any, audio: Any, mouths: np.ndarray) -> None:
        self.calls += 1
        mouths[...] = self.calls


def work(arrays: MouthArrays, engine: Engine, answers: list[np.ndarray], **more: Any) -> MouthWork:
    table = TenantTable(lambda weights: None)
    table.install(Resident("a", (engine, None), {}))
    frames, audio = np.zeros((4, 3, 320, 320), np.uint8), np.zeros((1, 32, 16, 16), np.float32)
    return MouthWork(
        table.acquire("a"), table, arrays, frames, audio, np.dtype(np.float32),
        more.get("answer", lambda one: answers.append(one.mouths.copy())),
        lambda error: None, lambda: False,
    )  # fmt: skip


def test_memory_of_answers_is_used_again() -> None:
    arrays, engine, answers, places = MouthArrays(), Engine(), [], set()
    for number in range(1, 4):
        one = work(arrays, engine, answers)
        one.compute(0, 0, 4)
        places.add(one.mouths.ctypes.data)
        one.finish()
        one.release()
        assert one.mouths is None
        assert (answers[-1] == number).all()
    assert len(places) == 1


def test_memory_of_requests_that_fail_is_not() -> None:
    """Another worker may still write there."""
    arrays, engine = MouthArrays(), Engine()

    def broken(one: MouthWork) -> None:
        raise RuntimeError

    first = work(arrays, engine, [], answer=broken)
    first.compute(0, 0, 4)
    with pytest.raises(RuntimeError):
        first.finish()
    second = work(arrays, engine, [])
    second.compute(0, 0, 4)
    assert not np.shares_memory(first.mouths, second.mouths)


@given(STEPS)
def test_nobody_gets_what_another_one_has(steps: list[tuple[Any, int]]) -> None:
    arrays, held = MouthArrays(10_000), []
    for number, (kind, rows) in enumerate(steps):
        made = arrays.take((rows, 100), np.dtype(kind))
        assert made.shape == (rows, 100)
        assert made.dtype == kind
        assert made.flags.c_contiguous
        assert made.flags.writeable
        made[...] = number
        held.append((number, made))
        if number % 3 == 2:
            arrays.give(held.pop(0)[1])
        assert all((array == value).all() for value, array in held)


def test_little_is_kept() -> None:
    arrays = MouthArrays(1000)
    for array in [arrays.take((400,), np.dtype(np.uint8)) for _ in range(5)]:
        arrays.give(array)
    assert sum(one.nbytes for one in arrays._kept) == 800
    assert arrays.take((100,), np.dtype(np.uint8)).base.nbytes == 100, "no giant for a dwarf"


def test_threads_share_it() -> None:
    arrays, wrong = MouthArrays(), []

    def churn(number: int) -> None:
        for _ in range(500):
            made = arrays.take((1000,), np.dtype(np.uint8))
            made[...] = number
            if not (made == number).all():
                wrong.append(SimpleNamespace(number=number))
            arrays.give(made)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
