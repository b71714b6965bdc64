"""What crosses a real Triton: typed errors, progress, deadlines, a client that leaves."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection

import httpx

from tests.support.callback_receiver import COMPLETE
from tests.support.tryon_gateway import tryon_form
from tests.support.waiting import usual
from tests.triton.tryon.jobs.conftest import Make, ScriptedTriton, Standing


def test_errors_progress_and_deadlines(standing: Standing, scripted_triton: ScriptedTriton) -> None:
    gateway, receiver = standing.gateway, standing.receiver
    for code in ("pose", "garment", "input", "pipeline"):
        gateway.submit(f"bad-{code}", f"fail={code}:Inference")
        job = gateway.until(f"bad-{code}", "failed")
        assert (job["error"]["code"], job["error"]["step"]) == (code, "Inference")
        assert job["attempts"] == 1
    files = tryon_form()[1]
    refused = httpx.post(
        f"{gateway.url}/infer", files=files, data={"prompt": "fail=pose:Inference"}, timeout=60
    )
    assert (refused.status_code, "(Inference)" in refused.json()["detail"]) == (422, True)
    # Slow steps: one that is over before the gateway looks again is not told.
    gateway.submit("seen", "seconds=10 gate=seen")
    with httpx.stream("GET", f"{gateway.url}/jobs/seen/events", timeout=60) as reply:
        scripted_triton.open("seen")
        lines = [line for line in reply.iter_lines() if line.startswith("data: ")]
    told = [json.loads(line[6:]) for line in lines]
    fractions = [one["progress"] for one in told]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= 8  # of the ten steps
    config = {"prompt": "gate=never", "deadline_seconds": 5}  # enough to reach the model
    data, files = tryon_form("late", config=json.dumps(config))
    assert httpx.post(f"{gateway.url}/tryon", data=data, files=files, timeout=60).status_code == 202
    job = gateway.until("late", "failed")
    assert job["error"]["code"] == "timeout"
    gateway.submit("after")
    gateway.until("after", "delivered")
    assert scripted_triton.count("late", "cancel") == 1
    gateway.wait(lambda: len(receiver.of(COMPLETE, 200)) == 7)


def test_a_client_of_infer_that_leaves_stops_the_model(
    standing: Standing, scripted_triton: ScriptedTriton
) -> None:
    gateway = standing.gateway
    before, begun = (scripted_triton.count("None", what) for what in ("cancel", "begin"))
    form = httpx.Request(
        "POST", gateway.url, files=tryon_form()[1], data={"prompt": "gate=never"}
    )  # fmt: skip
    client = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    client.request("POST", "/infer", form.read(), dict(form.headers))
    gateway.wait(lambda: bool(gateway.get("/gpu/status")["busy"]))
    for path in ("/health", "/test", "/metrics"):
        took = []
        for _ in range(9):
            begin = time.monotonic()
            assert httpx.get(gateway.url + path, timeout=60).status_code == 200
            took.append(time.monotonic() - begin)
        assert usual(took) < 0.3
    gateway.wait(lambda: scripted_triton.count("None", "begin") == begun + 1)
    client.close()
    gateway.wait(lambda: not gateway.get("/gpu/status")["busy"])
    gateway.wait(lambda: scripted_triton.count("None", "cancel") == before + 1)


def test_an_orderly_stop_keeps_what_is_unfinished(
    gateways: Make, scripted_triton: ScriptedTriton
) -> None:
    gateway = gateways()
    gateway.start()
    gateway.submit("stopped", "gate=stopped")
    gateway.submit("queued")
    gateway.wait(lambda: gateway.get("/jobs/stopped")["progress"] > 0)
    begin = time.monotonic()
    gateway.stop()
    assert gateway.process
    assert gateway.process.returncode == 0
    assert time.monotonic() - begin < 60  # the run would last for ever
    scripted_triton.open("stopped")
    gateway.start()
    assert gateway.until("stopped", "delivered")["attempts"] == 1
    gateway.until("queued", "delivered")
