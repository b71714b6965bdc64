"""Jobs by the engine `remote`, through gateway and Triton, over a server that runs a checkpoint."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.callback_receiver import RESULT, Receiver
from tests.support.edit_server import NAME, EditProcess
from tests.support.tryon_gateway import tryon_form
from tests.support.tryon_model import TryonModel, serving
from tests.support.tryon_pictures import png, upper
from tests.support.tryon_processes import GatewayProcess
from tests.support.waiting import wait_for

PERSON = png(Image.effect_noise((64, 96), 80).convert("RGB"))
GARMENT = png(Image.new("RGB", (64, 64), "navy"))


@dataclass
class Stack:
    """The server, Triton with the model, a gateway and who receives its results."""

    server: EditProcess
    model: TryonModel
    gateway: GatewayProcess
    receiver: Receiver

    def submit(self, job_id: str, **config: Any) -> httpx.Response:
        config = {"restore": False, "steps": 2, "cfg": 1, **config}
        data, files = tryon_form(
            job_id, config=json.dumps(config), masked_user_image=PERSON, garment_image=GARMENT
        )
        return httpx.post(f"{self.gateway.url}/tryon", data=data, files=files, timeout=60)

    def accepted(self, job_id: str, **config: Any) -> None:
        reply = self.submit(job_id, **config)
        assert reply.status_code == 202, reply.text

    def picture(self, path: str) -> Image.Image:
        reply = httpx.get(f"{self.gateway.url}{path}", timeout=60)
        assert reply.status_code == 200, reply.text
        return Image.open(io.BytesIO(reply.content))


@pytest.fixture(scope="module")
def stack(
    checkpoint: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("remote")
    server = EditProcess(checkpoint, packages, folder / "server.log")
    key = folder / "key"
    key.write_text(server.key)
    receiver = Receiver()
    settings = {
        "PENTAD_TRYON__ASSET_SERVICE__CALLBACK_URL": receiver.result_url,
        "PENTAD_TRYON__JOBS__QUEUE_SIZE": "20",
    }
    parameters = {
        "engine": "remote",
        "remote_url": f"{server.url}/v1",
        "remote_key_file": str(key),
        "resize_to_resolution": "false",
    }
    server.start()
    try:
        with serving(folder, **parameters) as model:
            gateway = GatewayProcess(folder / "state", model.server.grpc_url, settings)
            try:
                gateway.start()
                yield Stack(server, model, gateway, receiver)
            finally:
                gateway.stop()
    finally:
        server.kill()
        receiver.stop()
    for log in (folder / "triton.log", folder / "state" / "gateway.log"):
        assert server.key not in log.read_text(errors="replace")


def test_a_jobs_pictures_are_the_servers(stack: Stack) -> None:
    stack.accepted("same", seed=3, steps=2, cfg=2.5, prompt="in blue", num_samples=2)
    job = stack.gateway.until("same", "delivered")
    told = ("engine", "model", "steps", "cfg", "mode", "photorealistic", "restored", "seed")
    assert [job[name] for name in told] == ["remote", NAME, 2, 2.5, None, True, False, 3]
    fields = {
        "prompt": "in blue", "size": "64x96", "num_inference_steps": "2", "true_cfg_scale": "2.5",
        "negative_prompt": " ",
    }  # fmt: skip
    made = [np.asarray(stack.picture(path)) for path in job["results"]]
    for seed, picture in enumerate(made, start=3):
        own = stack.server.edit({**fields, "seed": str(seed)}, [PERSON, GARMENT])
        assert np.array_equal(picture, np.asarray(own))
    assert not np.array_equal(*made)
    (event,) = (one for one in stack.receiver.of(RESULT, 200) if one.fields["job_id"] == "same")
    sent = [event.fields[name] for name in ("output_image", "output_image_2")]
    for file, picture in zip(sent, made, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), picture)


def test_what_nobody_chose_and_the_kind_of_garment(stack: Stack) -> None:
    stack.accepted("open", steps=None, cfg=None, category="bottoms", mode="base")
    job = stack.gateway.until("open", "delivered")
    assert (job["steps"], job["cfg"], job["ignored"]) == (None, None, ["mode"])
    (seen,) = stack.server.of("worn on the lower body")
    assert not {"num_inference_steps", "true_cfg_scale", "model"} & seen["fields"].keys()
    assert (seen["fields"]["n"], seen["pictures"]) == ("1", 2)


def test_no_progress_is_told_that_the_server_does_not_tell(stack: Stack) -> None:
    answer = stack.model.run(PERSON, GARMENT, restore=False, steps=2, cfg=1, num_samples=2)
    inside = [one for one in answer.progress if one["step"] == "Inference"]
    assert {one["engine_step"] for one in inside} == {None}
    assert len(inside) == 2  # the beginning of each picture
    fractions = [one["fraction"] for one in answer.progress]
    assert fractions == sorted(fractions)


def test_original_pixels_come_back(stack: Stack) -> None:
    before = upper(3).resize((288, 384), Image.Resampling.LANCZOS)
    answer = stack.model.run(png(before), GARMENT, steps=1, cfg=1)
    made = np.asarray(Image.open(io.BytesIO(answer.image))).astype(int)
    assert answer.report["restored"] is True
    same = (made == np.asarray(before)).all(axis=-1)
    assert same[:60].all()
    assert not same[140:220, 120:170].any()  # noise where the garment goes


def test_cancelling_closes_the_connection(stack: Stack) -> None:
    stack.accepted("cancelled", prompt="cancelled hold=never", steps=50)
    stack.gateway.wait(lambda: stack.server.last("cancelled")["steps"] == 1)
    assert httpx.delete(f"{stack.gateway.url}/jobs/cancelled", timeout=60).status_code == 202
    stack.gateway.until("cancelled", "cancelled")
    stack.gateway.wait(lambda: stack.server.last("cancelled")["outcome"] == "left")
    assert stack.server.last("cancelled")["steps"] == 1
    stack.accepted("after-cancelled")
    stack.gateway.until("after-cancelled", "delivered")


def test_a_deadline_closes_the_connection(stack: Stack) -> None:
    stack.accepted("late", prompt="late hold=never", deadline_seconds=8)
    job = stack.gateway.until("late", "failed")
    assert job["error"]["code"] == "timeout"
    stack.gateway.wait(lambda: stack.server.last("late")["outcome"] == "left")


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((500,), "pipeline"),
        ((404,), "pipeline"),
        ((307,), "pipeline"),
        ((422,), "input"),
        ((413,), "input"),
        ((502, 504, 502), "pipeline"),
        ((503, 429, 502), None),
    ],
)
def test_what_a_servers_error_means_for_a_job(
    stack: Stack, statuses: tuple[int, ...], code: str | None
) -> None:
    name = "-".join(map(str, ("answers", *statuses)))
    stack.server.answer(*statuses)
    stack.accepted(name, prompt=name)
    job = stack.gateway.until(name, "failed" if code else "delivered")
    outcomes = [one["outcome"] for one in stack.server.of(name)]
    assert outcomes == [*statuses, *([] if code else ["answered"])]
    assert job["attempts"] == 1
    if code:
        assert (job["error"]["code"], job["error"]["step"]) == (code, "Inference")
        assert "path" not in json.dumps(job)


def test_a_gateway_that_is_killed_takes_its_job_up_again(stack: Stack) -> None:
    stack.accepted("kept", prompt="kept hold=kept", seed=5)
    stack.gateway.wait(lambda: stack.server.last("kept")["steps"] == 1)
    stack.gateway.kill()
    wait_for(lambda: stack.server.last("kept")["outcome"] == "left")
    stack.gateway.start()
    stack.gateway.wait(lambda: len(stack.server.of("kept")) == 2)
    stack.server.open("kept")
    job = stack.gateway.until("kept", "delivered")
    assert (job["attempts"], job["seed"]) == (2, 5)


def test_a_server_that_dies_under_a_job(stack: Stack) -> None:
    gateway = stack.gateway
    stack.accepted("dies", prompt="dies hold=dies")
    gateway.wait(lambda: stack.server.last("dies")["steps"] == 1)
    stack.accepted("waits")
    stack.server.kill()
    gateway.wait(lambda: gateway.get("/test")["status"] == "loading")
    assert gateway.get("/test")["detail"] == "the server cannot be reached"
    refused = stack.submit("refused")
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    stack.server.start()
    stack.server.open("dies")
    for name in ("dies", "waits"):  # nothing that was accepted is lost
        job = gateway.until(name, "delivered")
        assert job["attempts"] == 1
    gateway.wait(lambda: gateway.get("/test")["status"] == "hot")
