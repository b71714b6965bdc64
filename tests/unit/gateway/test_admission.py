"""Slots, queue, rejection and the measured Retry-After."""

from __future__ import annotations

import asyncio

import pytest

from gateway.admission import MAX_RETRY_AFTER, Admission
from gateway.errors import BusyError
from tests.support.waiting import PATIENCE, passed


async def hold(admission: Admission, seconds: float | asyncio.Event) -> None:
    async with admission.slot():
        await passed(seconds)


async def test_slots_then_queue_then_refusal() -> None:
    reasons: list[str] = []
    done = asyncio.Event()
    admission = Admission(2, 1, PATIENCE, reasons.append)
    tasks = [asyncio.create_task(hold(admission, done)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert (admission.in_flight, admission.waiting) == (2, 1)
    with pytest.raises(BusyError):
        await hold(admission, 0)
    assert reasons == ["queue_full"]
    done.set()
    await asyncio.gather(*tasks)
    assert (admission.in_flight, admission.waiting) == (0, 0)


async def test_waiting_is_bounded() -> None:
    reasons: list[str] = []
    admission = Admission(1, 5, 0.05, reasons.append)
    done = asyncio.Event()
    task = asyncio.create_task(hold(admission, done))
    await asyncio.sleep(0.01)
    with pytest.raises(BusyError):
        await hold(admission, 0)
    assert reasons == ["wait"]
    assert admission.waiting == 0
    done.set()
    await task


async def test_first_come_first_served() -> None:
    admission = Admission(1, 10, PATIENCE)
    order: list[int] = []

    async def job(number: int) -> None:
        async with admission.slot():
            order.append(number)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(job(number) for number in range(8)))
    assert order == list(range(8))


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    admission = Admission(1, 10, PATIENCE)
    done = asyncio.Event()
    first = asyncio.create_task(hold(admission, done))
    await asyncio.sleep(0.01)
    waiters = [asyncio.create_task(hold(admission, 0)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert admission.waiting == 3
    waiters[0].cancel()
    done.set()
    await asyncio.gather(first, *waiters, return_exceptions=True)
    assert (admission.in_flight, admission.waiting) == (0, 0)
    await asyncio.wait_for(hold(admission, 0), PATIENCE)


async def test_cancelled_in_the_moment_the_slot_comes() -> None:
    admission = Admission(1, 10, PATIENCE)
    await admission._acquire()
    waiter = asyncio.create_task(hold(admission, 0))
    await asyncio.sleep(0.01)
    admission._release()  # hands the slot over …
    waiter.cancel()  # … to a task that is cancelled before it runs
    await asyncio.gather(waiter, return_exceptions=True)
    assert admission.in_flight == 0


async def test_retry_after_follows_the_measured_rate() -> None:
    admission = Admission(4, 100, 5.0)
    assert admission.retry_after() == 1
    admission.in_flight, admission._seconds_per_request = 4, 2.0
    assert admission.retry_after() == 8
    admission._seconds_per_request = 1000.0
    assert admission.retry_after() == MAX_RETRY_AFTER


async def test_changes_are_reported() -> None:
    seen: list[tuple[int, int]] = []
    admission = Admission(1, 1, PATIENCE, on_change=lambda *values: seen.append(values))
    await asyncio.gather(hold(admission, 0.01), hold(admission, 0.01))
    assert seen == [(1, 0), (1, 1), (1, 0), (0, 0)]


async def test_more_slots_are_given_to_those_who_wait_and_fewer_when_work_ends() -> None:
    admission = Admission(1, 5, PATIENCE)
    done = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.create_task(hold(admission, one)) for one in done]
    await asyncio.sleep(0.01)
    assert (admission.in_flight, admission.waiting) == (1, 3)
    admission.resize(3)
    assert (admission.slots, admission.in_flight, admission.waiting) == (3, 3, 1)
    admission.resize(2)
    done[0].set()
    await asyncio.sleep(0.01)
    assert (admission.in_flight, admission.waiting) == (2, 1), "the place that is gone is not given"
    done[1].set()
    await asyncio.sleep(0.01)
    assert (admission.in_flight, admission.waiting) == (2, 0)
    for one in done:
        one.set()
    await asyncio.gather(*tasks)
    assert admission.in_flight == 0
