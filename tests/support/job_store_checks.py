"""What every job store must do, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.services.tryon.jobs.models import (
    DESTINATIONS,
    Delivery,
    Job,
    JobError,
    NewJob,
    Outcome,
)
from gateway.services.tryon.jobs.retry import RetryPolicy
from gateway.services.tryon.jobs.store import JobConflictError, JobStore, QueueFullError

Open = Callable[[], JobStore]
TTL = 100.0
PAUSE = 3600.0
PLAN = RetryPolicy(True, True, 3, (1.0,), 10.0, 100.0)
SILENT = replace(PLAN, asset_service=False, load_balancer=False)


def new(job_id: str, created: float = 1.0, **changes: Any) -> NewJob:
    """A job to accept."""
    values = {
        "id": job_id, "digest": f"digest of {job_id}", "folder": f"folder-{job_id}",
        "node": "node", "user_id": "u", "session_id": "s", "provider": "qwen",
        "options": {"seed": 1}, "created": created, "deadline": 1e12,
    }  # fmt: skip
    return NewJob(**{**values, **changes})


async def claimed(store: JobStore, owner: str = "me", now: float = 10.0) -> Job:
    """Take a job that must be there."""
    job = await store.claim("node", owner, 5.0, now)
    assert job
    return job


async def delivering(store: JobStore, job_id: str, plan: RetryPolicy = PLAN) -> Job:
    """Bring a new job to the end of its inference."""
    await store.add(new(job_id), 99)
    job = await claimed(store)
    outcome = Outcome("delivering", 20.0, "result-1", "image/png", {"seed": 1})
    assert await store.finish(job, outcome, plan.deliveries(job_id, 20.0), TTL)
    found = await store.get(job_id)
    assert found
    return found


async def accepts_once(open_store: Open) -> None:
    store = open_store()
    assert await store.add(new("a"), 1) is True
    again = new("a", folder="of the second upload")
    assert await store.add(again, 1) is False  # not a question of room
    assert await store.add(new("a"), 1) is True  # the very same one: its first end was not heard
    with pytest.raises(JobConflictError):
        await store.add(new("a", digest="other"), 9)
    with pytest.raises(QueueFullError):
        await store.add(new("b"), 1)
    assert await store.add(new("c", node="other"), 1)  # each node has its own room
    assert await store.get("b") is None
    job = await store.get("a")
    assert job
    assert (job.state, job.options, job.attempts) == ("queued", {"seed": 1}, 0)


async def races_for_ids(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    added = await asyncio.gather(
        *(
            store.add(new("same", folder=f"upload-{number}"), 99)
            for number, store in enumerate(stores * 5)
        )
    )
    assert added.count(True) == 1


async def races_for_jobs(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    ids = [f"j{number:02}" for number in range(24)]
    for number, job_id in enumerate(ids):
        await stores[0].add(new(job_id, created=number), 99)

    async def work(store: JobStore) -> list[str]:
        taken = []
        while job := await store.claim("node", "me", 5.0, 50.0):
            taken.append(job.id)
        return taken

    taken = await asyncio.gather(*(work(store) for store in stores))
    assert sorted(job_id for part in taken for job_id in part) == ids
    assert all(part == sorted(part) for part in taken)  # first come, first served


async def fences_late_owners(open_store: Open) -> None:
    store = open_store()
    await store.add(new("a"), 9)
    late = await claimed(store, "late", now=10.0)
    before = await store.held()
    await store.renew("late", 5.0, {"a": (0.5, "Inference")})
    assert await store.take_over(before) == 0  # it has been heard of since
    renewed = await store.held()
    assert {(one.job_id, one.destination, one.owner) for one in renewed} == {("a", None, "late")}
    assert await store.take_over(renewed) == 1
    assert await store.held() == set()
    again = await claimed(store, "new", now=20.0)
    assert again.attempts == 2
    ended = Outcome("delivering", 21.0, "result-1")
    assert await store.finish(late, ended, PLAN.deliveries("a", 21.0), TTL) is False
    await store.release(late, counted=True)
    job = await store.get("a")
    assert job
    assert (job.state, job.owner, job.deliveries) == ("running", "new", ())
    assert await store.finish(again, ended, PLAN.deliveries("a", 21.0), TTL) is True
    assert await store.finish(again, ended, PLAN.deliveries("a", 21.0), TTL) is False


async def leases_run_out(open_store: Open) -> None:
    store = open_store()
    await store.add(new("a"), 9)
    await claimed(store, now=10.0)
    assert await store.take_over(()) == 0
    assert await store.take_over(await store.held()) == 1
    job = await store.get("a")
    assert job
    assert (job.state, job.owner) == ("queued", None)


async def releases(open_store: Open) -> None:
    store = open_store()
    await store.add(new("a"), 9)
    for counted, attempts in ((False, 0), (True, 1), (True, 2)):
        await store.release(await claimed(store), counted=counted)
        job = await store.get("a")
        assert job
        assert (job.state, job.attempts) == ("queued", attempts)


async def cancels(open_store: Open) -> None:
    store = open_store()
    await store.add(new("a", 1), 9)
    await store.add(new("b", 2), 9)
    await claimed(store)
    for job_id in ("a", "b"):
        await store.cancel(job_id, 30.0, SILENT.deliveries(job_id, 30.0), TTL)
    one, two = await store.get("a"), await store.get("b")
    assert one
    assert two
    assert (one.state, one.cancelling) == ("running", True)
    assert await store.to_cancel("me") == {"a"}
    assert (two.state, two.expires) == ("cancelled", 30.0 + TTL)
    assert two.error == JobError("cancelled")
    assert await store.cancel("none", 30.0, (), TTL) is None


async def delivers_in_order(open_store: Open) -> None:
    store = open_store()
    job = await delivering(store, "a")
    assert [one.destination for one in job.deliveries] == ["asset_service", "load_balancer"]
    assert job.expires is None
    (asset,) = await store.due("asset_service", "me", 5.0, 20.0, 9)
    assert asset.destination == "asset_service"
    assert await store.due("asset_service", "other", 5.0, 21.0, 9) == []  # taken
    failed = replace(asset, attempts=1, next_attempt=30.0, last_status=500)
    assert await store.attempted(failed, "me", PLAN.unblocks(failed))
    assert await store.next_due(("asset_service",)) == 30.0
    (asset,) = await store.due("asset_service", "me", 5.0, 30.0, 9)
    done = replace(asset, state="delivered", attempts=2, next_attempt=None, last_status=200)
    assert await store.attempted(done, "me", PLAN.unblocks(done))
    assert await store.attempted(done, "me", PLAN.unblocks(done)) is False  # once
    (balancer,) = await store.due("load_balancer", "me", 5.0, 1e12, 9)
    dead = replace(balancer, state="dead_letter", next_attempt=None, attempts=1)
    assert await store.attempted(dead, "me", PLAN.unblocks(dead))
    found = await store.get("a")
    assert found
    assert found.state == "dead_letter"
    assert found.expires is not None


async def redelivers(open_store: Open) -> None:
    store = open_store()
    await delivering(store, "a")
    for destination in DESTINATIONS:
        for one in await store.due(destination, "me", 5.0, 1e12, 9):
            done = replace(one, state="delivered", attempts=1, next_attempt=None)
            await store.attempted(done, "me", PLAN.unblocks(done))
    first = await store.get("a")
    assert first
    assert first.state == "delivered"
    again = await store.redeliver("a", 50.0)
    assert again
    assert again.state == "delivering"
    assert [one.next_attempt for one in again.deliveries] == [50.0, None]
    ids = [one.event_id for one in again.deliveries]
    assert ids == [one.event_id for one in first.deliveries]
    assert await store.redeliver("none", 50.0) is None


async def a_dead_owner_s_callbacks_are_free(open_store: Open) -> None:
    store = open_store()
    await delivering(store, "a")
    assert len(await store.due("asset_service", "dies", 5.0, 20.0, 9)) == 1
    held = await store.held()
    assert {(one.job_id, one.destination, one.owner) for one in held} == {
        ("a", "asset_service", "dies")
    }
    assert await store.due("asset_service", "me", 5.0, 1e11, 9) == []  # no date frees it
    assert await store.take_over(held) == 0  # of the callbacks, no job
    assert len(await store.due("asset_service", "me", 5.0, 21.0, 9)) == 1


async def is_not_frozen_by_a_date_of_the_future(open_store: Open) -> None:
    """The pauses of these stores are 3600 s at the most."""
    store = open_store()
    await delivering(store, "a")
    (asset,) = await store.due("asset_service", "me", 5.0, 20.0, 9)
    waits = replace(asset, attempts=1, next_attempt=3_000.0)
    await store.attempted(waits, "me", None)
    assert await store.due("asset_service", "me", 5.0, 21.0, 9) == []
    assert len(await store.due("asset_service", "me", 5.0, -1_000.0, 9)) == 1  # the clock was back


async def races_for_callbacks(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for number in range(10):
        await delivering(stores[0], f"j{number}")
    found = await asyncio.gather(
        *(store.due("asset_service", f"me-{n}", 5.0, 30.0, 4) for n, store in enumerate(stores * 2))
    )
    taken = [one.job_id for part in found for one in part]
    assert sorted(taken) == [f"j{number}" for number in range(10)]


async def expires_when_all_is_delivered(open_store: Open) -> None:
    store = open_store()
    await delivering(store, "told", SILENT)
    await delivering(store, "untold")
    assert await store.expire(19.0 + TTL) == []
    assert await store.expire(20.0 + TTL) == ["folder-told"]
    assert await store.expire(20.0 + TTL) == []
    assert await store.folders() == {"folder-untold"}
    assert await store.counts() == {"expired": 1, "delivering": 1}
    assert await store.forget(20.0) == 0
    assert await store.forget(20.1) == 1
    assert await store.get("told") is None


async def fails_the_overdue(open_store: Open) -> None:
    store = open_store()
    await store.add(new("a", deadline=5.0), 9)
    assert await store.claim("node", "me", 5.0, 6.0) is None
    (job,) = await store.overdue(6.0)
    late = Outcome("failed", 6.0, error=JobError("timeout"))
    assert await store.finish(job, late, PLAN.deliveries("a", 6.0), TTL)
    assert await store.finish(job, late, PLAN.deliveries("a", 6.0), TTL) is False
    found = await store.get("a")
    assert found
    assert (found.state, found.error) == ("failed", JobError("timeout"))
    for one in await store.due("asset_service", "me", 5.0, 1e12, 9):
        done: Delivery = replace(one, state="delivered", next_attempt=None)
        await store.attempted(done, "me", "load_balancer")
    for one in await store.due("load_balancer", "me", 5.0, 1e12, 9):
        await store.attempted(replace(one, state="delivered", next_attempt=None), "me", None)
    found = await store.get("a")
    assert found
    assert found.state == "failed"  # that is about the inference
    assert found.expires


async def lists(open_store: Open) -> None:
    store = open_store()
    for number in range(9):
        await store.add(new(f"j{number}", created=number // 3), 99)
    seen: list[str] = []
    before = None
    while page := await store.page(None, 2, before):
        seen += [job.id for job in page]
        before = (page[-1].created, page[-1].id)
    assert seen == [f"j{number}" for number in reversed(range(9))]
    assert [job.id for job in await store.page("running", 9, None)] == []
    assert await store.line() == [f"j{number}" for number in range(9)]
    await claimed(store)
    assert await store.line() == [f"j{number}" for number in range(1, 9)]


CHECKS: list[Callable[[Open], Awaitable[None]]] = [
    accepts_once, races_for_ids, races_for_jobs, fences_late_owners, leases_run_out, releases,
    cancels, delivers_in_order, redelivers, a_dead_owner_s_callbacks_are_free,
    is_not_frozen_by_a_date_of_the_future,
    races_for_callbacks, expires_when_all_is_delivered, fails_the_overdue, lists,
]  # fmt: skip
