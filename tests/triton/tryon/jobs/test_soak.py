"""Many jobs, receivers that fail, a gateway that is killed again and again: nothing is lost."""

from __future__ import annotations

import random
import time

from tests.support.callback_receiver import COMPLETE, RESULT, Receiver, always, failing
from tests.triton.tryon.jobs.conftest import Make, ScriptedTriton

JOBS, KILLS, SHARE = 20, 3, 0.3


def test_every_accepted_job_is_delivered_once(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    """200 jobs run in load_tests/tryon/soak.py."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    receiver.behave = failing(SHARE, seed)
    gateway = gateways()
    gateway.start()
    ids = [f"soak-{number}" for number in range(JOBS)]
    kill_after = sorted(dice.sample(range(JOBS), KILLS))
    for number, job_id in enumerate(ids):
        assert gateway.submit(job_id, "seconds=0.05").status_code == 202
        if number in kill_after:
            time.sleep(dice.uniform(0, 0.5))
            gateway.kill()
            gateway.start()
            receiver.behave = failing(SHARE, seed + number)
    gateway.wait(lambda: gateway.get("/jobs")["counts"] == {"delivered": JOBS}, 120)
    receiver.behave = always(200)
    for path, name in ((RESULT, "asset_service"), (COMPLETE, "load_balancer")):
        events = {one.event_id for one in receiver.of(path, 200)}
        assert events == {f"{job_id}_{name}" for job_id in ids}
        bodies = {
            (one.event_id, one.fields.get("output_image", b"")) for one in receiver.of(path, 200)
        }
        assert len(bodies) == JOBS  # whatever was repeated was the same
    delivered_by = [gateway.get(f"/jobs/{job_id}")["attempts"] for job_id in ids]
    runs = [scripted_triton.count(job_id, "begin") for job_id in ids]
    assert sum(runs) <= JOBS + KILLS  # only what a kill interrupted was run again
    assert max(delivered_by) <= 3
