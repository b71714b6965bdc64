"""Turns of frames: nothing lost, nothing twice, nobody kept waiting."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from frames.scheduler import FrameQueue, Job, Step
from hypothesis import given
from hypothesis import strategies as st

JOBS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 12)), min_size=1, max_size=8)


def drained(queue: FrameQueue, most: int) -> list[Step]:
    steps = []
    while step := queue.take(most):
        steps.append(step)
    return steps


@given(JOBS, st.integers(1, 8))
def test_every_frame_is_handed_out_once_and_jobs_finish_once(
    jobs: list[tuple[str, int]], most: int
) -> None:
    queue = FrameQueue(100)
    made = [Job(tenant, frames) for tenant, frames in jobs]
    assert all(queue.add(job) for job in made)
    steps = drained(queue, most)
    seen = Counter(
        (id(step.job), f) for step in steps for f in range(step.first, step.first + step.count)
    )
    assert seen == {(id(job), f): 1 for job in made for f in range(job.frames)}
    assert all(1 <= step.count <= most for step in steps)
    assert len(queue) == len(made)
    finished = [step.job for step in steps if queue.done(step)]
    assert sorted(map(id, finished)) == sorted(map(id, made))
    assert len(queue) == 0
    assert all(job.settled for job in made)


@given(JOBS)
def test_while_a_tenant_waits_no_other_gets_two_turns_in_a_row(
    jobs: list[tuple[str, int]],
) -> None:
    queue = FrameQueue(100)
    for tenant, frames in jobs:
        queue.add(Job(tenant, frames))
    left = Counter()
    for tenant, frames in jobs:
        left[tenant] += frames
    turns = [step.job.tenant for step in drained(queue, 1)]
    for number, (now, following) in enumerate(pairwise(turns)):
        left[now] -= 1
        waiting = [tenant for tenant, count in left.items() if count and tenant != now]
        if now == following:
            assert not waiting, (number, turns)


@given(st.integers(2, 6), st.integers(1, 20))
def test_requests_of_one_tenant_take_turns(jobs: int, frames: int) -> None:
    queue = FrameQueue(100)
    made = [Job("a", frames) for _ in range(jobs)]
    for job in made:
        queue.add(job)
    for _ in range(frames):
        assert {id(queue.take(1).job) for _ in range(jobs)} == set(map(id, made))


@given(JOBS, st.data())
def test_a_dropped_job_leaves_nothing_behind(
    jobs: list[tuple[str, int]], data: st.DataObject
) -> None:
    queue = FrameQueue(100)
    made = [Job(tenant, frames) for tenant, frames in jobs]
    for job in made:
        queue.add(job)
    taken = [queue.take(1) for _ in range(data.draw(st.integers(0, 10)))]
    running = [step for step in taken if step]
    victim = data.draw(st.sampled_from(made))
    assert queue.drop(victim)
    assert not queue.drop(victim)
    assert all(step.job is not victim for step in drained(queue, 1))
    own = [step for step in running if step.job is victim]
    assert victim.settled == (not own)
    for step in own:
        assert not queue.done(step)  # its last frame does not answer a second time
    assert victim.settled


def test_a_full_queue_takes_no_more_until_a_job_is_settled() -> None:
    queue = FrameQueue(1)
    first = Job("a", 1)
    assert queue.add(first)
    assert not queue.add(Job("b", 1))
    step = queue.take(1)
    queue.drop(first)
    assert not queue.add(Job("b", 1)), "a worker still holds its frame"
    queue.give_back(step)
    assert queue.add(Job("b", 1))


def test_waiting_counts_jobs_that_no_worker_has_begun() -> None:
    queue = FrameQueue(9)
    queue.add(Job("a", 2))
    queue.add(Job("b", 2))
    assert queue.waiting == 2
    queue.take(1)
    assert queue.waiting == 1


def test_what_is_due_first_comes_first_within_a_round() -> None:
    queue = FrameQueue(10)
    for tenant, due in (("a", 3.0), ("b", 1.0), ("c", math.inf), ("d", 2.0)):
        queue.add(Job(tenant, 2, due=due, spacing=0.04))
    order = [step.job.tenant for step in drained(queue, 1)]
    assert order == ["b", "d", "a", "c"] * 2


def test_a_tenant_whose_frames_are_all_due_soon_keeps_nobody_waiting() -> None:
    queue = FrameQueue(50)
    for number in range(20):
        queue.add(Job("greedy", 1, due=number / 1000))
    queue.add(Job("modest", 1, due=99.0))
    assert [step.job.tenant for step in drained(queue, 1)].index("modest") == 1
    queue.add(Job("greedy", 1, due=0.0))
    queue.take(1)
    # Who comes back at once has had its turn of this round.
    queue.add(Job("greedy", 1, due=0.0))
    queue.add(Job("modest", 1, due=99.0))
    assert [step.job.tenant for step in drained(queue, 1)] == ["modest", "greedy"]


def test_a_tenants_own_jobs_come_by_their_next_frame() -> None:
    queue = FrameQueue(10)
    early, late = Job("a", 3, due=1.0, spacing=1.0), Job("a", 1, due=2.5)
    queue.add(late)
    queue.add(early)
    assert [(step.job, step.first) for step in drained(queue, 1)] == [
        (early, 0), (early, 1), (late, 0), (early, 2),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.floats(0, 9)), max_size=30))
def test_every_frame_is_taken_once_whatever_is_dropped(
    jobs: list[tuple[str, int, float]],
) -> None:
    queue = FrameQueue(100)
    made = [Job(tenant, frames, due=due) for tenant, frames, due in jobs]
    for job in made:
        queue.add(job)
    for job in made[::3]:
        assert queue.drop(job)
    steps = drained(queue, 1)
    for step in steps:
        queue.done(step)
    taken = Counter(step.job for step in steps)
    assert taken == Counter({job: job.frames for at, job in enumerate(made) if at % 3})
    assert (len(queue), queue.waiting) == (0, 0)
