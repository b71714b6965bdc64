"""Two gateways on one PostgreSQL: a job runs once, and survives the death of either."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.callback_receiver import COMPLETE, RESULT, Receiver
from tests.support.postgres import postgres
from tests.support.waiting import wait_for
from tests.triton.tryon.jobs.conftest import Make, ScriptedTriton


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as url:
        yield url


def test_two_gateways_share_the_queue(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton, database: str
) -> None:
    shared = {
        "PENTAD_TRYON__JOBS__DATABASE_URL": database,
        "PENTAD_TRYON__JOBS__LEASE_SECONDS": "10",
    }
    one = gateways("one", **shared, PENTAD_TRYON__SERVER__NODE_ID="node-1")
    two = gateways("two", **shared, PENTAD_TRYON__SERVER__NODE_ID="node-2")
    one.start()
    two.start()
    ids = [f"shared-{number}" for number in range(12)]
    for job_id in ids:
        assert one.submit(job_id, "seconds=0.4").status_code == 202
    two.wait(lambda: two.get("/jobs")["counts"] == {"delivered": len(ids)})
    assert [scripted_triton.count(job_id, "begin") for job_id in ids] == [1] * len(ids)
    nodes = {two.get(f"/jobs/{job_id}")["node_id"] for job_id in ids}
    assert nodes == {"node-1", "node-2"}
    for path in (RESULT, COMPLETE):
        assert len(receiver.of(path)) == len(ids)
    # What one accepted, the other one serves: state, result, cancellation.
    assert httpx.get(f"{two.url}/jobs/shared-0/result", timeout=60).content.startswith(b"\x89PNG")
    one.submit("cross", "gate=never")  # nothing but the cancellation ends it
    one.wait(lambda: one.get("/jobs/cross")["state"] == "running")
    other = two if one.get("/jobs/cross")["node_id"] == "node-1" else one
    assert httpx.delete(f"{other.url}/jobs/cross", timeout=60).status_code == 202
    other.until("cross", "cancelled")
    # The death of the gateway that runs a job: the other one takes it over.
    one.submit("orphan", "gate=orphan")
    one.wait(lambda: scripted_triton.count("orphan", "begin") == 1)
    dies, lives = (one, two) if one.get("/jobs/orphan")["node_id"] == "node-1" else (two, one)
    dies.kill()
    wait_for(lambda: scripted_triton.count("orphan", "cancel"))  # by Triton: its client is gone
    scripted_triton.open("orphan")
    job = lives.until("orphan", "delivered")
    assert job["attempts"] == 2
    assert scripted_triton.count("orphan", "end") == 1
