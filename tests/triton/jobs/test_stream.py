"""What crosses a real Triton: typed errors, progress, deadlines, a client that leaves."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from tests.support.callback_receiver import COMPLETE
from tests.support.tryon_gateway import tryon_form
from tests.triton.jobs.conftest import Make, ScriptedTriton, Standing


def test_errors_progress_and_deadlines(standing: Standing, scripted_triton: ScriptedTriton) -> None:
    gateway, receiver = standing.gateway, standing.receiver
    for code in ("pose", "garment", "input", "pipeline"):
        gateway.submit(f"bad-{code}", f"fail={code}:Inference")
        job = gateway.until(f"bad-{code}", "failed")
        assert (job["error"]["code"], job["error"]["step"]) == (code, "Inference")
        assert job["attempts"] == 1
    files = tryon_form()[1]
    refused = httpx.post(
        f"{gateway.url}/infer", files=files, data={"prompt": "fail=pose:Inference"}, timeout=10
    )
    assert (refused.status_code, "(Inference)" in refused.json()["detail"]) == (422, True)
    gateway.submit("seen", "seconds=0.6")
    with httpx.stream("GET", f"{gateway.url}/jobs/seen/events", timeout=10) as reply:
        lines = [line for line in reply.iter_lines() if line.startswith("data: ")]
    told = [json.loads(line[6:]) for line in lines]
    fractions = [one["progress"] for one in told]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= 8  # of the ten steps
    config = {"prompt": "seconds=20", "deadline_seconds": 0.5}
    data, files = tryon_form("late", config=json.dumps(config))
    assert httpx.post(f"{gateway.url}/tryon", data=data, files=files).status_code == 202
    job = gateway.until("late", "failed", seconds=5)
    assert job["error"]["code"] == "timeout"
    gateway.submit("after")
    gateway.until("after", "delivered")
    assert scripted_triton.count("late", "cancel") == 1
    gateway.wait(lambda: len(receiver.of(COMPLETE, 200)) == 7)


def test_a_client_of_infer_that_leaves_stops_the_model(
    standing: Standing, scripted_triton: ScriptedTriton
) -> None:
    gateway = standing.gateway
    before = scripted_triton.count("None", "cancel")
    files, data = tryon_form()[1], {"prompt": "seconds=20"}

    def impatient() -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{gateway.url}/infer", files=files, data=data, timeout=0.6)

    thread = threading.Thread(target=impatient)
    thread.start()
    gateway.wait(lambda: bool(gateway.get("/gpu/status")["busy"]))
    for path in ("/health", "/test", "/metrics"):
        begin = time.monotonic()
        assert httpx.get(gateway.url + path).status_code == 200
        assert time.monotonic() - begin < 0.3
    thread.join()
    gateway.wait(lambda: not gateway.get("/gpu/status")["busy"])
    gateway.wait(lambda: scripted_triton.count("None", "cancel") == before + 1)


def test_an_orderly_stop_keeps_what_is_unfinished(
    gateways: Make, scripted_triton: ScriptedTriton
) -> None:
    gateway = gateways()
    gateway.start()
    gateway.submit("stopped", "seconds=2")
    gateway.submit("queued")
    gateway.wait(lambda: gateway.get("/jobs/stopped")["progress"] > 0)
    begin = time.monotonic()
    gateway.stop()
    assert gateway.process
    assert gateway.process.returncode == 0
    assert time.monotonic() - begin < 8
    gateway.start()
    assert gateway.until("stopped", "delivered")["attempts"] == 1
    gateway.until("queued", "delivered")
