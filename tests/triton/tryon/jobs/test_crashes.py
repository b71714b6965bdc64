"""`kill -9` at every point of a job's life, with real processes."""

from __future__ import annotations

import time
from typing import Any

import psutil

from tests.support.callback_receiver import COMPLETE, RESULT, Receiver, always
from tests.support.tryon_processes import GatewayProcess
from tests.support.waiting import wait_for
from tests.triton.tryon.jobs.conftest import Make, ScriptedTriton


def delivered(gateway: GatewayProcess, receiver: Receiver, job_id: str) -> None:
    """Wait until a job is delivered, and check that each receiver has it once by event id."""
    gateway.until(job_id, "delivered")
    for path, name in ((RESULT, "asset_service"), (COMPLETE, "load_balancer")):
        good = [one for one in receiver.of(path, 200) if one.fields["job_id"] == job_id]
        assert {one.event_id for one in good} == {f"{job_id}_{name}"}
    assert receiver.of(RESULT, 200)[-1].fields["output_image"].startswith(b"\x89PNG")


def test_a_after_acceptance_before_inference(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    gateway = gateways()
    gateway.start()
    assert gateway.submit("a-first", "gate=a").status_code == 202
    assert gateway.submit("a-waits").status_code == 202
    gateway.kill()
    assert scripted_triton.count("a-waits", "begin") == 0
    scripted_triton.open("a")
    gateway.start()
    delivered(gateway, receiver, "a-waits")
    delivered(gateway, receiver, "a-first")
    assert scripted_triton.count("a-waits", "end") == 1


def test_b_in_inference(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    gateway = gateways()
    gateway.start()
    assert gateway.submit("b", "gate=b").status_code == 202
    gateway.wait(lambda: gateway.get("/jobs/b")["progress"] > 0)
    gateway.kill()
    wait_for(lambda: scripted_triton.count("b", "cancel"))  # Triton noticed that its client is gone
    scripted_triton.open("b")
    gateway.start()
    delivered(gateway, receiver, "b")
    assert gateway.get("/jobs/b")["attempts"] == 2
    assert scripted_triton.count("b", "cancel") == 1
    assert scripted_triton.count("b", "end") == 1


def test_c_between_inference_and_callback(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    receiver.behave = always(-1)
    gateway = gateways()
    gateway.start()
    assert gateway.submit("c").status_code == 202
    gateway.wait(lambda: len(receiver.of(RESULT)) == 1)
    gateway.kill()
    receiver.behave = always(200)
    gateway.start()
    delivered(gateway, receiver, "c")
    assert scripted_triton.count("c", "begin") == 1
    assert {one.event_id for one in receiver.of(RESULT)} == {"c_asset_service"}


def test_d_between_the_callbacks(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    receiver.behave = lambda one: (200 if one.path == RESULT else -1, {})
    gateway = gateways()
    gateway.start()
    assert gateway.submit("d").status_code == 202
    gateway.wait(lambda: len(receiver.of(COMPLETE)) == 1)
    gateway.kill()
    receiver.behave = always(200)
    gateway.start()
    delivered(gateway, receiver, "d")
    assert len(receiver.of(RESULT)) == 1
    assert scripted_triton.count("d", "begin") == 1


def test_the_model_s_process_dies_in_inference(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    gateway = gateways()
    gateway.start()
    assert gateway.submit("e", "gate=e").status_code == 202
    gateway.wait(lambda: gateway.get("/jobs/e")["progress"] > 0)
    server = psutil.Process(scripted_triton.server.process.pid)
    stubs = [one for one in server.children(recursive=True) if "stub" in one.name()]
    assert stubs
    for stub in stubs:
        stub.kill()
    scripted_triton.open("e")
    delivered(gateway, receiver, "e")
    assert gateway.get("/jobs/e")["attempts"] == 2


def test_cancel_stops_the_model_and_the_next_job_starts(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    import httpx

    gateway = gateways()
    gateway.start()
    gateway.submit("f", "gate=never")  # nothing but the cancellation ends it
    gateway.submit("g")
    gateway.wait(lambda: gateway.get("/jobs/f")["progress"] > 0)
    assert httpx.delete(f"{gateway.url}/jobs/f", timeout=60).status_code == 202
    delivered(gateway, receiver, "g")
    assert gateway.get("/jobs/f")["state"] == "cancelled"
    assert scripted_triton.count("f", "cancel") == 1

    def told() -> list[dict[str, Any]]:
        return [one.fields for one in receiver.of(RESULT, 200) if one.fields["job_id"] == "f"]

    wait_for(told)
    assert told()[0]["error"].startswith("cancelled: ")


def test_triton_itself_dies_in_inference(
    gateways: Make, receiver: Receiver, scripted_triton: ScriptedTriton
) -> None:
    gateway = gateways()
    gateway.start()
    assert gateway.submit("h", "gate=h").status_code == 202
    gateway.wait(lambda: gateway.get("/jobs/h")["progress"] > 0)
    server = scripted_triton.server
    for child in psutil.Process(server.process.pid).children(recursive=True):
        child.kill()
    server.process.kill()
    server.process.wait(60)
    scripted_triton.open("h")
    gateway.wait(lambda: gateway.get("/jobs/h")["state"] == "queued")
    time.sleep(1)  # many a look at a Triton that is not there
    assert gateway.get("/jobs/h")["attempts"] == 1
    server.start()
    server.wait_live()
    delivered(gateway, receiver, "h")
    assert gateway.get("/jobs/h")["attempts"] == 2
