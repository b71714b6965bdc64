"""The row queue: every row once, similar lengths together, nobody starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from text_rows import Job, Row, RowQueue

lengths = st.lists(st.integers(2, 300), min_size=1, max_size=60)


def queued(queue: RowQueue, sizes: list[int], name: str = "t", arrived: float = 0.0) -> Job:
    job = Job(lambda rows: None, lambda message: None, lambda: False)
    job.arrived = arrived
    queue.add(job, {f"{name}{number}": [1] * size for number, size in enumerate(sizes)})
    return job


def drain(queue: RowQueue) -> list[list[Row]]:
    chunks = []
    while chunk := queue.take():
        chunks.append(chunk)
    return chunks


@given(st.lists(lengths, min_size=1, max_size=6), st.integers(1, 20), st.integers(1, 2000))
def test_every_row_is_taken_once_within_the_limits(
    jobs: list[list[int]], max_rows: int, max_tokens: int
) -> None:
    queue = RowQueue(max_rows, max_tokens)
    for number, sizes in enumerate(jobs):
        queued(queue, sizes, name=f"{number}-", arrived=float(number))
    chunks = drain(queue)
    taken = sorted(len(row.ids) for chunk in chunks for row in chunk)
    assert taken == sorted(size for sizes in jobs for size in sizes)
    for chunk in chunks:
        longest = max(len(row.ids) for row in chunk)
        assert len(chunk) <= max_rows
        assert len(chunk) == 1 or longest * len(chunk) <= max_tokens
    assert len(queue) == 0
    assert queue.head() is None


def test_neighbours_in_length_go_together() -> None:
    queue = RowQueue(max_rows=2, max_tokens=1000)
    queued(queue, [10, 90, 12, 88])
    assert [[len(row.ids) for row in chunk] for chunk in drain(queue)] == [[10, 12], [88, 90]]


def test_a_small_job_passes_a_big_one() -> None:
    queue = RowQueue(max_rows=4, max_tokens=1000)
    queued(queue, [250] * 40, name="big")
    queue.take()
    small = queued(queue, [8], name="small", arrived=1.0)
    assert queue.head() is small


def test_a_big_job_does_not_starve() -> None:
    queue = RowQueue(max_rows=4, max_tokens=1000)
    big = queued(queue, [250] * 8, name="big")
    queued(queue, [8], name="late", arrived=60.0)
    assert queue.head() is big


def test_a_text_that_waits_already_is_shared() -> None:
    queue = RowQueue(16, 1000)
    first, second = queued(queue, [5, 6]), queued(queue, [5, 6, 7])
    (chunk,) = drain(queue)
    assert len(chunk) == 3
    assert chunk[0].jobs == [first, second]


def test_dropping_a_job_keeps_what_others_wait_for() -> None:
    queue = RowQueue(16, 1000)
    gone, stays = queued(queue, [5, 6, 7]), queued(queue, [5])
    queue.drop(gone)
    assert len(queue) == 1
    assert [row.jobs[-1] for row in queue.take()] == [stays]
    queue.drop(stays)
    assert queue.take() == []
