"""Inferences that are lost with a process: asked again, waited for, given up."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import BusyError, DeadlineError, InferenceError, UnavailableError
from gateway.health import monitor
from gateway.health.attempts import TRIES, Asking
from gateway.triton.status import CRASHES, LostError, ModelDeadError, ServerGoneError
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway
from tests.support.tiny_pictures import png
from tests.support.waiting import until

CALM = {"canary_interval_seconds": 3600}  # canaries by need alone take no failure of a request
SERVICES = (
    "text_embedding", "bertscore", "image_classification", "face_enrollment", "emotion_story",
)  # fmt: skip
NEVER_SENT = ServerGoneError(ran=False)


def sent(triton: FakeTriton, model: str) -> int:
    return sum(name == model for name, _ in triton.calls)


async def ask(gateway: Running, service: str) -> httpx.Response:
    if service == "text_embedding":
        return await gateway.text.post("/embed", json={"texts": ["a"]})
    if service == "bertscore":
        pair = {"candidates": ["a"], "references": ["a"]}
        return await gateway.text.post("/bertscore", json=pair)
    if service == "image_classification":
        return await gateway.vision.post("/infer", files={"file": ("a.png", png())})
    data = base64.b64encode(png()).decode()
    if service == "face_enrollment":
        body = {"employee_id": "E", "images": [{"data": data}]}
        return await gateway.iot.post("/iot/vectorizer", json=body)
    return await gateway.iot.post("/iot/emotions", json={"event_id": "e", "video_clip": data})


class Scripted(FakeTriton):
    """Loses what begins with ``poison``, and all that comes while it is away."""

    poison = b"poison"
    away = False

    async def infer(self, model: str, inputs: Any, outputs: Any, **rest: Any) -> Any:
        if self.away:
            raise ServerGoneError(ran=False)
        if "MODEL_INFO" not in outputs and any(self.poison in one.data for one in inputs.values()):
            self.calls.append((model, 1))
            raise ModelDeadError(model)
        return await super().infer(model, inputs, outputs, **rest)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "error", [ModelDeadError(None), ServerGoneError(ran=True), ServerGoneError(ran=False)]
)
async def test_a_lost_inference_is_asked_again(
    tmp_path: Path, service: str, error: LostError
) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        gateway.triton.failures.append(error)
        reply = await ask(gateway, service)
        assert reply.status_code == 200, reply.text
        assert sent(gateway.triton, service) == 2
        cause = "model" if isinstance(error, ModelDeadError) else "server"
        metrics = gateway.context.metrics.render().decode()
        told = f'pentad_inference_retries_total{{cause="{cause}",model="{service}"}} 1.0'
        assert told in metrics


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InferenceError(), 502),
        (DeadlineError(), 504),
        (BusyError(retry_after=2), 503),
        (UnavailableError(retry_after=2), 503),
    ],
)
async def test_what_the_model_answers_is_final(
    tmp_path: Path, error: Exception, status: int
) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        gateway.triton.failures.append(error)  # type: ignore[arg-type]
        assert (await ask(gateway, "text_embedding")).status_code == status
        assert sent(gateway.triton, "text_embedding") == 1


async def test_what_kills_the_model_is_sent_twice_at_most(tmp_path: Path) -> None:
    triton = Scripted()
    async with running_gateway(tmp_path, triton, health=CALM) as gateway:
        reply = await gateway.text.post("/embed", json={"texts": ["poison"]})
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert sent(triton, "text_embedding") == CRASHES
        assert (await gateway.main.get("/readyz")).status_code == 503
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")
        assert (await ask(gateway, "text_embedding")).status_code == 200


async def test_a_model_that_goes_on_being_lost_is_asked_a_few_times(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        model = gateway.context.monitor.services()[0].models[0]
        asked = 0

        async def infer(left: float) -> None:
            nonlocal asked
            asked += 1
            raise NEVER_SENT

        asking = Asking(gateway.context.monitor, model, time.monotonic() + 60)
        with pytest.raises(ServerGoneError):
            await asking(infer)
        assert asked == TRIES


async def test_requests_wait_for_a_triton_that_is_away(tmp_path: Path) -> None:
    triton = Scripted()
    health = {"canary_interval_seconds": 0.05}
    async with running_gateway(tmp_path, triton, health=health) as gateway:
        triton.away, triton.is_live = True, False
        waiting = [asyncio.create_task(ask(gateway, "text_embedding")) for _ in range(20)]
        waiting += [asyncio.create_task(ask(gateway, "image_classification")) for _ in range(4)]
        await until(lambda: gateway.context.monitor.report()["status"] == "starting")
        assert (await gateway.main.get("/readyz")).status_code == 503, "health says the truth"
        assert not any(one.done() for one in waiting)
        triton.loaded.clear()
        triton.away, triton.is_live = False, True
        replies = await asyncio.gather(*waiting)
        assert {reply.status_code for reply in replies} == {200}


async def test_who_waits_holds_a_slot_and_others_are_told_to_come_back(tmp_path: Path) -> None:
    triton = Scripted()
    text = {"max_concurrent": 2, "max_waiting": 1, "slot_wait_seconds": 0.1}
    health = {"canary_interval_seconds": 0.05}
    async with running_gateway(tmp_path, triton, text=text, health=health) as gateway:
        triton.away, triton.is_live = True, False
        calls = [asyncio.create_task(ask(gateway, "text_embedding")) for _ in range(6)]
        await until(lambda: sum(call.done() for call in calls) == 4)
        triton.away, triton.is_live = False, True
        replies = await asyncio.gather(*calls)
        assert sorted(reply.status_code for reply in replies) == [200] * 2 + [503] * 4
        assert all(r.headers["retry-after"] for r in replies if r.status_code == 503)


@pytest.mark.parametrize("bound", ["recovery_wait_seconds", "deadline_seconds"])
async def test_the_wait_is_bounded(tmp_path: Path, bound: str) -> None:
    triton = Scripted()
    health: dict[str, float] = {"canary_interval_seconds": 0.05}
    text: dict[str, float] = {}
    (health if bound.startswith("recovery") else text)[bound] = 0.4
    async with running_gateway(tmp_path, triton, health=health, text=text) as gateway:
        triton.away, triton.is_live = True, False
        begin = time.monotonic()
        reply = await ask(gateway, "text_embedding")
        assert reply.status_code == 503
        assert reply.headers["retry-after"].isdigit()
        assert time.monotonic() - begin < 10  # the default is 20


async def test_a_client_that_leaves_is_not_waited_for(tmp_path: Path) -> None:
    triton = Scripted()
    async with running_gateway(tmp_path, triton, health=CALM) as gateway:
        triton.away, triton.is_live = True, False
        call = asyncio.create_task(ask(gateway, "text_embedding"))
        services = {one.name: one for one in gateway.context.monitor.services()}
        admission = services["text"].admission
        await until(lambda: admission.in_flight == 1)
        call.cancel()
        await until(lambda: admission.in_flight == 0)


async def test_a_loss_of_an_earlier_process_says_nothing_about_its_successor(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        model = gateway.context.monitor.services()[0].models[0]
        gateway.context.monitor.failed(model, ModelDeadError(None), model.healthy_since - 1)
        assert model.state == "ready"
        assert gateway.triton.aborted == []
        gateway.context.monitor.failed(model, ModelDeadError(None), time.monotonic())
        assert model.state == "loading"
        assert gateway.triton.aborted == [model.triton_model]


async def test_a_model_that_was_given_up_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = {"canary_interval_seconds": 0.05, "reload_attempts": 1}
    async with running_gateway(tmp_path, services=["vision"], health=health) as gateway:
        (model,) = gateway.context.monitor.services()[0].models
        gateway.triton.failures += [InferenceError()] * 1000
        await until(lambda: model.state == "down")
        reloads = gateway.triton.unloads.count("image_classification")
        monkeypatch.setattr(monitor, "STABLE", 0.1)
        await until(lambda: gateway.triton.unloads.count("image_classification") > reloads)
        gateway.triton.failures.clear()
        await until(lambda: model.state == "ready")


async def test_a_triton_that_dies_under_canary_and_load_costs_no_model(tmp_path: Path) -> None:
    """Neither a reload that counts, nor a pause before the next load."""

    class Dying(Scripted):
        deaths = 2

        async def load(self, model: str, config: Any = None) -> None:
            if self.deaths and model == "image_classifier":
                self.deaths -= 1
                raise ServerGoneError(ran=True)
            await super().load(model, config)

    triton = Dying()
    health = {"canary_interval_seconds": 0.05}
    async with running_gateway(tmp_path, triton, services=["vision"], health=health) as gateway:
        (model,) = gateway.context.monitor.services()[0].models
        assert triton.deaths == 0
        triton.away, triton.is_live = True, False
        await until(lambda: model.state == "loading")
        triton.away, triton.is_live = False, True
        await until(lambda: model.state == "ready")
        assert model.reloads == 0
        assert triton.unloads == []
