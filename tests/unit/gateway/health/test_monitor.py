"""Loading, canaries and repair, with a stand-in for Triton."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import (
    BusyError,
    DeadlineError,
    GatewayError,
    InferenceError,
    UnavailableError,
)
from gateway.health import monitor
from gateway.health.engine import device_name, engine_name
from gateway.health.loading import Leadership, ModelLoader
from gateway.health.monitor import LATE_CANARIES
from gateway.health.processes import ModelProcesses
from gateway.health.state import ModelState
from gateway.telemetry.metrics import Metrics
from gateway.triton.placing import placed_on
from gateway.triton.status import (
    ModelDeadError,
    NeededModelError,
    NoRoomError,
    ServerGoneError,
)
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import running_gateway
from tests.support.waiting import PATIENCE, until

FAST = {"canary_interval_seconds": 0.05}
CALM = {"canary_interval_seconds": 3600}  # looks by need alone


async def test_models_are_loaded_needs_first(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        loads = gateway.triton.loads
        assert len(loads) == 11
        assert loads.index("sentence_encoder") < loads.index("text_embedding")
        assert loads.index("token_encoder") < loads.index("bertscore")


async def test_a_dead_model_is_reloaded_alone(tmp_path: Path) -> None:
    # Canaries by need alone: one at its hour would take a failure that the request is to meet.
    async with running_gateway(tmp_path, health={"canary_interval_seconds": 3600}) as gateway:
        triton = gateway.triton
        triton.failures += [ModelDeadError("sentence_encoder")] * 2
        reply = await gateway.text.post("/embed", json={"texts": ["a"]})
        assert reply.status_code == 200, "it was waited for, and asked again"
        await until(lambda: triton.unloads == ["sentence_encoder"])
        assert triton.aborted == ["text_embedding"]
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")
        assert (await gateway.text.post("/embed", json={"texts": ["a"]})).status_code == 200


async def test_given_up_after_three_reloads_and_back_when_it_works(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, health=FAST) as g:
        g.triton.failures += [InferenceError()] * 1000
        await until(lambda: all(m["state"] == "down" for m in models(g)))
        assert g.triton.unloads.count("text_embedding") == 3
        assert (await g.main.get("/readyz")).json()["status"] == "down"
        assert (await g.text.post("/embed", json={"texts": ["a"]})).status_code == 503
        g.triton.failures.clear()
        await until(lambda: g.context.monitor.report()["status"] == "ready")


async def test_a_silent_model_without_a_process_is_reloaded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton may keep the requests of a killed process: three late canaries were 30 s."""
    silent: set[str] = set()
    monkeypatch.setattr(
        ModelProcesses, "missing", lambda self, names: [name for name in names if name in silent]
    )
    monkeypatch.setattr(monitor, "LOOK", 0.1)
    health = {**FAST, "canary_timeout_seconds": 60}
    async with running_gateway(tmp_path, health=health) as gateway:
        gateway.triton.silent = silent
        silent.add("text_embedding")
        await until(lambda: gateway.triton.unloads == ["text_embedding"])
        assert gateway.triton.aborted == ["text_embedding"]
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")


async def test_a_silent_model_whose_process_is_there_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr(ModelProcesses, "missing", lambda self, names: looks.append(names) or [])
    monkeypatch.setattr(monitor, "LOOK", 0.02)
    health = {**FAST, "canary_timeout_seconds": 60}
    async with running_gateway(tmp_path, health=health) as gateway:
        gateway.triton.silent.add("text_embedding")
        await until(lambda: len(looks) > 10)
        assert gateway.triton.unloads == []


async def test_a_model_that_was_unavailable_is_not_ready_until_it_is_looked_at(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        triton, watch = gateway.triton, gateway.context.monitor
        (model, *_) = (one for service in watch.services() for one in service.models)
        triton.gate.clear()
        for error in (UnavailableError(), ServerGoneError(ran=True)):
            watch.failed(model, error)
            assert model.state == "loading"
            assert (await gateway.main.get("/readyz")).status_code == 503
            gauge = f'pentad_service_ready{{service="{watch.services()[0].name}"}} 0.0'
            assert gauge in gateway.context.metrics.render().decode()
            await until(lambda: model.state == "ready")
        for harmless in (NeededModelError(), NoRoomError(), BusyError(), InferenceError()):
            watch.failed(model, harmless)
            assert model.state == "ready"


async def test_requests_that_give_up_do_not_keep_a_model_from_being_ready(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        (model, *_) = gateway.context.monitor.services()[0].models
        model.state, model.doubted = "loading", 0.0
        gateway.context.monitor.failed(model, UnavailableError())  # who had waited for it
        assert model.doubted == 0.0


async def test_a_connection_that_ends_is_looked_at_without_a_request(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, health=CALM) as gateway:
        gateway.triton.is_live = False
        gateway.triton.hung_up.set()
        await until(lambda: gateway.context.monitor.report()["status"] == "starting")


async def test_a_model_that_loads_for_long_keeps_no_other_from_repair(tmp_path: Path) -> None:
    class Patient(FakeTriton):
        async def load(self, model: str, config: Any = None) -> None:
            if model == "image_classification":
                await held.wait()
            await super().load(model, config)

    held = asyncio.Event()
    triton = Patient()
    async with running_gateway(tmp_path, triton, health=FAST, wait=False) as gateway:
        watch = gateway.context.monitor
        await until(lambda: watch.service_state("text") == "ready")
        assert watch.service_state("vision") == "loading"
        triton.failures.append(ModelDeadError("sentence_encoder"))
        await until(lambda: triton.unloads == ["sentence_encoder"])
        await until(lambda: watch.service_state("text") == "ready")
        assert watch.service_state("vision") == "loading"
        held.set()
        await until(lambda: watch.report()["status"] == "ready")
        assert triton.loads.count("image_classifier") == 1, "the rounds' tasks load nothing twice"


def models(gateway: object) -> list[dict[str, object]]:
    return gateway.context.monitor.report()["services"]["text"]["models"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("live", "state"), [(True, "missing"), (False, "loading")])
async def test_a_triton_that_died_misses_no_models(live: bool, state: str) -> None:
    model = ModelState("embed", "text_embedding", ("sentence_encoder",))
    triton = FakeTriton(unloadable={"sentence_encoder"}, is_live=live)
    loader = ModelLoader(triton, Metrics(), {})  # type: ignore[arg-type]
    await loader.ensure(model, set())
    assert model.state == state


async def test_a_model_that_takes_long_is_loading_not_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = ModelState("tell", "vlm", ())
    triton = FakeTriton()
    outcomes: list[GatewayError | None] = [DeadlineError(), DeadlineError(), None]

    async def load(name: str, config: object = None) -> None:
        if error := outcomes.pop(0):
            raise error
        triton.loaded.add(name)

    monkeypatch.setattr(triton, "load", load)
    loader = ModelLoader(triton, Metrics(), {})  # type: ignore[arg-type]
    for _ in range(2):
        await loader.ensure(model, set())
        assert model.state == "loading"
        assert "longer than triton.load_timeouts" in str(model.detail)
    ready: set[str] = set()
    await loader.ensure(model, ready)
    assert ready == {"vlm"}
    triton.loaded.clear()
    outcomes.append(InferenceError())  # after a deadline it may fail as any other
    await loader.ensure(model, set())
    assert model.state == "missing"


async def test_a_restarted_triton_gets_its_models_again(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, health=FAST) as gateway:
        triton = gateway.triton
        triton.is_live = False
        await until(lambda: gateway.context.monitor.report()["status"] == "starting")
        triton.loaded.clear()
        triton.is_live = True
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")
        assert len(triton.loads) == 2 * 11


async def test_starving_canaries_do_not_take_a_busy_service_down(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, health=FAST) as gateway:
        services = gateway.context.monitor.services()
        for model in (model for service in services for model in service.models):
            model.last_success += 1000  # requests succeed all the time
        gateway.triton.failures += [DeadlineError()] * 4
        await asyncio.sleep(0.3)
        assert gateway.context.monitor.report()["status"] == "ready"
        assert gateway.triton.unloads == []


async def test_a_model_that_stays_late_is_reloaded(tmp_path: Path) -> None:
    health = {**FAST, "reload_attempts": 1}
    async with running_gateway(tmp_path, services=["vision"], health=health) as gateway:
        triton = gateway.triton
        triton.failures += [DeadlineError()] * (LATE_CANARIES - 1)
        await until(lambda: not triton.failures)
        await until(lambda: gateway.context.monitor.services()[0].models[0].late == 0)
        assert triton.unloads == []
        triton.failures += [DeadlineError()] * LATE_CANARIES
        await until(lambda: "image_classification" in triton.unloads)
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")


async def test_the_device_is_forced_by_a_config_override(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={"device": "cpu"}) as gateway:
        assert gateway.triton.loads.count("sentence_encoder") == 2
        assert gateway.triton.loads.count("text_embedding") == 1


def test_one_leader(tmp_path: Path) -> None:
    first, second = Leadership(tmp_path / "lock"), Leadership(tmp_path / "lock")
    assert first.held()
    assert not second.held()
    first.release()
    assert second.held()
    second.release()


def test_engine_names() -> None:
    bf16 = {"HINT_BF16": {"string_value": "YES"}}
    assert engine_name({"backend": "openvino", "parameters": bf16}) == "openvino bf16"
    assert engine_name({"backend": "openvino"}) == "openvino fp32"
    assert engine_name({"backend": "onnxruntime"}) == "onnxruntime fp32"
    assert engine_name({"platform": "tensorrt_plan", "backend": "tensorrt"}) == "tensorrt plan"


@pytest.mark.parametrize(
    ("provider", "parameters", "on_gpu", "on_cpu"),
    [
        (None, {}, "onnxruntime tf32", "onnxruntime fp32"),
        ("cuda", {}, "onnxruntime tf32", "onnxruntime fp32"),
        ("cuda", {"use_tf32": "1"}, "onnxruntime tf32", "onnxruntime fp32"),
        ("cuda", {"use_tf32": "0"}, "onnxruntime fp32", "onnxruntime fp32"),
        ("tensorrt", {"precision_mode": "FP16"}, "tensorrt fp16", "onnxruntime fp32"),
        ("tensorrt", {}, "tensorrt tf32", "onnxruntime fp32"),
    ],
)
def test_engines_on_a_gpu_say_tf32(
    provider: str | None, parameters: dict[str, str], on_gpu: str, on_cpu: str
) -> None:
    given = [{"name": provider, "parameters": parameters}] if provider else []
    config = {
        "backend": "onnxruntime",
        "optimization": {"execution_accelerators": {"gpu_execution_accelerator": given}},
    }
    for kind, expected in (("KIND_GPU", on_gpu), ("KIND_CPU", on_cpu)):
        assert engine_name({**config, "instance_group": [{"kind": kind}]}) == expected


def test_device_names() -> None:
    gpu = {"instance_group": [{"kind": "KIND_GPU", "gpus": [1], "count": 2}]}
    assert device_name(gpu) == "cuda:1"
    assert device_name({"instance_group": [{"kind": "KIND_GPU", "gpus": [0]}]}) == "cuda"
    assert device_name({}) == "cpu"
    assert placed_on(gpu, "cpu")["instance_group"] == [{"kind": "KIND_CPU", "count": 2}]
    assert placed_on({}, "cuda:3")["instance_group"] == [
        {"kind": "KIND_GPU", "count": 1, "gpus": [3]}
    ]


async def test_stopping_while_being_woken_does_not_hang(tmp_path: Path) -> None:
    for _ in range(20):
        async with running_gateway(tmp_path) as gateway:
            gateway.triton.failures.append(UnavailableError(retry_after=1))
            await gateway.text.post("/embed", json={"texts": ["a"]})  # wakes the monitor
            await asyncio.wait_for(gateway.context.monitor.stop(), PATIENCE)
            gateway.context.monitor._leadership = Leadership(tmp_path / "again")
