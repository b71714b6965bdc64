"""Two gateways on one PostgreSQL: a job runs once, and survives the death of either."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.callback_receiver import COMPLETE, RESULT, Receiver
from tests.support.postgres import postgres
from tests.triton.jobs.conftest import Make, ScriptedTriton


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as url:
        yield url


def test_two_gateways_share_the_queue(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton, database: str
) -> None:
    shared = {
        "PENTAD_TRYON__JOBS__DATABASE_URL": database,
        "PENTAD_TRYON__JOBS__LEASE_SECONDS": "2",
    }
    one = gateways("one", **shared, PENTAD_TRYON__SERVER__NODE_ID="node-1")
    two = gateways("two", **shared, PENTAD_TRYON__SERVER__NODE_ID="node-2")
    one.start()
    two.start()
    ids = [f"shared-{number}" for number in range(12)]
    for job_id in ids:
        assert one.submit(job_id, "seconds=0.4").status_code == 202
    two.wait(lambda: two.get("/jobs")["counts"] == {"delivered": len(ids)}, 20)
    assert [scripted_triton.count(job_id, "begin") for job_id in ids] == [1] * len(ids)
    nodes = {two.get(f"/jobs/{job_id}")["node_id"] for job_id in ids}
    assert nodes == {"node-1", "node-2"}
    for path in (RESULT, COMPLETE):
        assert len(receiver.of(path)) == len(ids)
    # What one accepted, the other one serves: state, result, cancellation.
    assert httpx.get(f"{two.url}/jobs/shared-0/result").content.startswith(b"\x89PNG")
    one.submit("cross", "seconds=8")
    one.wait(lambda: one.get("/jobs/cross")["state"] == "running")
    other = two if one.get("/jobs/cross")["node_id"] == "node-1" else one
    began = time.monotonic()
    assert httpx.delete(f"{other.url}/jobs/cross").status_code == 202
    other.until("cross", "cancelled")
    assert time.monotonic() - began < 4
    # The death of the gateway that runs a job: the other one takes it over.
    one.submit("orphan", "seconds=1.5")
    one.wait(lambda: one.get("/jobs/orphan")["state"] == "running")
    dies, lives = (one, two) if one.get("/jobs/orphan")["node_id"] == "node-1" else (two, one)
    dies.kill()
    job = lives.until("orphan", "delivered", seconds=20)
    assert job["attempts"] == 2
    assert scripted_triton.count("orphan", "end") == 1
