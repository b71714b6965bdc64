"""Gateways that share jobs on machines whose dates differ."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.tryon_gateway import tryon_gateway
from tests.support.waiting import until

JOBS = {"queue_size": 5, "poll_seconds": 0.05, "deadline_seconds": 86_400, "lease_seconds": 3}


@pytest.mark.parametrize("skew", [7200.0, -7200.0])
async def test_gateways_whose_dates_differ_know_who_lives(tmp_path: Path, skew: float) -> None:
    jobs = {
        "jobs": {
            **JOBS,
            "deadline_seconds": 86_400,
            "lease_seconds": 3,
            "folder": tmp_path / "shared",
        }
    }
    states = [tmp_path / "one", tmp_path / "two"]
    for state in states:
        state.mkdir()
    async with (
        tryon_gateway(states[0], tryon=jobs) as one,
        tryon_gateway(states[1], tryon=jobs) as two,
    ):
        two.service.jobs.clock._anchor += skew
        one.triton.gate.clear()
        two.triton.gate.clear()
        await one.submit("a")
        await until(lambda: one.triton.runs or two.triton.runs)
        runs, waits = (one, two) if one.triton.runs else (two, one)
        await asyncio.sleep(4)  # longer than the lease, which one renews and both watch
        assert (await waits.job("a"))["attempts"] == 1
        runs.service.dispatcher._loops[1].cancel()  # it is not heard of any more
        runs.service.janitor._here = lambda held: False
        assert runs.service.jobs.worker.name  # and its lock is still held: only the lease tells
        waits.triton.gate.set()
        await until(lambda: waits.triton.runs)
        assert (await waits.until("a", "delivered"))["attempts"] == 2
        runs.triton.gate.set()
