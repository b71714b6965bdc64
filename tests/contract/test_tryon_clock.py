"""The machine's date is set while jobs wait, are run, delivered and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.callback_receiver import RESULT, Received, Receiver
from tests.support.tryon_gateway import tryon_gateway

JUMPS = [600.0, 40 * 86_400.0, -7200.0]
JOBS = {"queue_size": 5, "poll_seconds": 0.05, "lease_seconds": 1, "result_ttl_seconds": 3600}


class Date:
    """The wall clock of this process."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        true = time.time
        patch.setattr(time, "time", lambda: true() + self.ahead)


@pytest.fixture
def date(monkeypatch: pytest.MonkeyPatch) -> Date:
    return Date(monkeypatch)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


@pytest.mark.parametrize("jump", JUMPS)
async def test_waiting_running_and_finished_jobs_do_not_notice(
    tmp_path: Path, date: Date, jump: float
) -> None:
    async with tryon_gateway(tmp_path, tryon={"jobs": JOBS}) as g:
        await g.submit("done")
        done = await g.until("done", "delivered")
        g.triton.gate.clear()
        await g.submit("runs")
        await g.until("runs", "running")
        await g.submit("waits")
        date.ahead = jump
        janitor = g.service.janitor
        for _ in range(3):
            await janitor.round()
            await janitor.rare_round()
        await asyncio.sleep(0.3)
        assert (await g.job("waits"))["state"] == "queued"
        assert (await g.job("runs"))["attempts"] == 1
        assert (await g.own.get("/jobs/done/result")).status_code == 200
        shown = await g.job("done")  # as the date is now: its age is what it was
        assert shown["created"] - done["created"] == pytest.approx(jump, abs=0.001)
        g.triton.gate.set()
        for job_id in ("runs", "waits"):
            assert (await g.until(job_id, "delivered"))["attempts"] == 1
        assert (await g.submit("later")).status_code == 202
        later = await g.until("later", "delivered")
        assert later["created"] == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("jump", JUMPS)
async def test_nor_do_they_after_a_restart(tmp_path: Path, date: Date, jump: float) -> None:
    async with tryon_gateway(tmp_path, tryon={"jobs": JOBS}) as g:
        await g.submit("done")
        await g.until("done", "delivered")
        g.triton.gate.clear()
        await g.submit("ran")
        await g.until("ran", "running")
        await g.submit("waits")
        date.ahead = jump
    async with tryon_gateway(tmp_path, tryon={"jobs": JOBS}) as g:
        await g.service.janitor.rare_round()
        for job_id in ("ran", "waits"):
            await g.until(job_id, "delivered", "failed")
            assert (await g.job(job_id))["state"] == "delivered"
        assert (await g.own.get("/jobs/done/result")).status_code == 200


@pytest.mark.parametrize("jump", JUMPS)
async def test_callbacks_go_on_as_planned(
    tmp_path: Path, date: Date, receiver: Receiver, jump: float
) -> None:
    answers: list[int] = []

    def twice(one: Received) -> tuple[int, dict[str, str]]:
        answers.append(500 if len(answers) < 2 else 200)
        if len(answers) == 1:
            date.ahead = jump
        return answers[-1], {}

    receiver.behave = twice
    sends = {
        "asset_service": {"callback_url": receiver.result_url, "retry_backoff": [0.05]},
        "callbacks": {"max_delay_seconds": 0.1}, "jobs": JOBS,
    }  # fmt: skip
    async with tryon_gateway(tmp_path, tryon=sends) as g:
        await g.submit("told")
        await g.until("told", "delivered")
        assert [one.status for one in receiver.of(RESULT)] == [500, 500, 200]
        stamps = [int(one.headers["webhook-timestamp"]) for one in receiver.of(RESULT)]
        # That is for the receivers' clocks, hence the date as it is.
        assert stamps[-1] - stamps[0] == pytest.approx(jump, abs=30)


async def test_deadlines_still_end(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon={"jobs": {**JOBS, "deadline_seconds": 0.4}}) as g:
        g.triton.gate.clear()
        await g.submit("runs")
        await g.submit("waits")
        assert (await g.until("waits", "failed"))["error"]["code"] == "timeout"
        g.triton.gate.set()
