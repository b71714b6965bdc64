"""Callbacks that are sent again because an operator says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.callback_receiver import COMPLETE, RESULT, Receiver, always
from tests.support.gateway import until
from tests.support.tryon_gateway import tryon_gateway


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


async def test_redeliver(tmp_path: Path, receiver: Receiver) -> None:
    receivers = {
        "asset_service": {"callback_url": receiver.result_url, "retry_backoff": [0.05]},
        "load_balancer": {"url": receiver.base_url},
        "jobs": {"poll_seconds": 0.05},
    }
    async with tryon_gateway(tmp_path, tryon=receivers) as g:
        await g.submit("r")
        await g.until("r", "delivered")
        assert (await g.own.post("/jobs/r/redeliver")).status_code == 202
        await until(lambda: len(receiver.of(COMPLETE)) == 2)
        await g.until("r", "delivered")
        assert {one.event_id for one in receiver.of(RESULT)} == {"r_asset_service"}
        receiver.behave = always(410)  # whoever is gone for good is not asked again
        await g.own.post("/jobs/r/redeliver")
        job = await g.until("r", "dead_letter")
        assert job["callbacks"][0]["last_status"] == 410
        assert job["callbacks"][0]["attempts"] == 1
        assert (await g.own.post("/jobs/none/redeliver")).status_code == 404


async def test_redeliver_without_a_receiver(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        await g.submit("r")
        job = await g.until("r", "delivered")
        assert {one["state"] for one in job["callbacks"]} == {"skipped"}
        reply = await g.own.post("/jobs/r/redeliver")
        assert (reply.status_code, reply.json()["detail"]) == (
            409, "No receiver was configured for this job",
        )  # fmt: skip
        assert (await g.job("r"))["state"] == "delivered"


async def test_redeliver_not_while_running(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.gate.clear()
        await g.submit("r")
        await g.until("r", "running")
        assert (await g.own.post("/jobs/r/redeliver")).status_code == 409
