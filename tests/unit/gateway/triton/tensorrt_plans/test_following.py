"""The gateway moves a loaded model to its plan, and back where the plan does not work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UnavailableError
from gateway.health.loading import ModelLoader
from gateway.health.state import ModelState
from gateway.server import plan_chooser
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.triton.tensorrt_plans.choice import PlanChooser
from tests.support.plan_models import MODEL, write_model
from tests.support.plan_models import install_plan as install


@dataclass
class Triton:
    """Loads configurations, except those of backends in `unloadable`."""

    unloadable: set[str] = field(default_factory=set)
    running: dict[str, str] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    alive: bool = True

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        backend = config["backend"] if config else "as configured"
        self.loads.append(backend)
        if not self.alive or backend in self.unloadable:
            raise UnavailableError(retry_after=1)
        self.running[model] = backend

    async def unload(self, model: str) -> None:
        self.running.pop(model, None)

    async def config(self, model: str) -> dict[str, Any]:
        return {"backend": self.running[model], "instance_group": [{"count": 2}]}

    async def ready_models(self) -> set[str]:
        return set(self.running)

    async def live(self) -> bool:
        return self.alive


def made(tmp_path: Path, triton: Triton, **devices: str) -> tuple[ModelLoader, ModelState]:
    loader = ModelLoader(triton, Metrics(), devices, PlanChooser(tmp_path))  # type: ignore[arg-type]
    return loader, ModelState("add", MODEL, (), engine="onnxruntime fp32", state="ready")


async def test_onnx_serves_until_the_plan_is_there(tmp_path: Path) -> None:
    folder, triton = write_model(tmp_path), Triton()
    loader, model = made(tmp_path, triton)
    for _ in range(2):
        await loader.ensure(model, set(triton.running))
    assert triton.loads == ["onnxruntime"]
    install(folder)
    model.state, model.last_success = "ready", 5.0
    await loader.ensure(model, set(triton.running))
    assert triton.running == {MODEL: "tensorrt"}
    assert (model.state, model.engine, model.last_success) == ("ready", "", 0.0)
    await loader.ensure(model, set(triton.running))
    assert triton.loads == ["onnxruntime", "tensorrt"]


async def test_a_plan_that_cannot_be_loaded_is_tried_once(tmp_path: Path) -> None:
    triton = Triton(unloadable={"tensorrt"})
    install(write_model(tmp_path))
    loader, model = made(tmp_path, triton)
    for _ in range(3):
        await loader.ensure(model, set(triton.running))
    assert triton.loads == ["tensorrt", "onnxruntime"]
    assert model.state != "missing"


async def test_onnx_goes_on_where_a_later_plan_cannot_be_loaded(tmp_path: Path) -> None:
    folder, triton = write_model(tmp_path), Triton(unloadable={"tensorrt"})
    loader, model = made(tmp_path, triton)
    await loader.ensure(model, set())
    install(folder)
    for _ in range(3):
        await loader.ensure(model, set(triton.running))
    assert triton.loads == ["onnxruntime", "tensorrt"]
    assert triton.running == {MODEL: "onnxruntime"}


async def test_a_triton_that_dies_while_it_loads_is_no_reason_to_doubt_a_plan(
    tmp_path: Path,
) -> None:
    folder, triton = write_model(tmp_path), Triton()
    loader, model = made(tmp_path, triton)
    await loader.ensure(model, set())
    install(folder)
    triton.alive = False
    await loader.ensure(model, {MODEL})
    triton.alive = True
    await loader.ensure(model, {MODEL})
    assert triton.running == {MODEL: "tensorrt"}


async def test_a_plan_that_fails_its_canaries_gives_way_to_onnx(tmp_path: Path) -> None:
    triton = Triton()
    install(write_model(tmp_path))
    loader, model = made(tmp_path, triton)
    await loader.ensure(model, set())
    assert triton.running == {MODEL: "tensorrt"}
    await loader.reload([MODEL])
    assert triton.running == {MODEL: "onnxruntime"}
    await loader.ensure(model, {MODEL})
    assert triton.running == {MODEL: "onnxruntime"}


async def test_a_new_gateway_finds_models_loaded(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    onnx, stale = Triton(running={MODEL: "onnxruntime"}), Triton(running={MODEL: "tensorrt"})
    for triton in (onnx, stale):
        loader, model = made(tmp_path, triton)
        await loader.ensure(model, {MODEL})
    assert onnx.loads == []
    assert stale.loads == ["onnxruntime"]  # nobody vouches for that plan
    install(folder)
    loader, model = made(tmp_path, stale)
    await loader.ensure(model, {MODEL})
    assert stale.running == {MODEL: "tensorrt"}


async def test_forced_devices(tmp_path: Path) -> None:
    install(write_model(tmp_path))
    on_cpu, on_gpu = Triton(), Triton()
    loader, model = made(tmp_path, on_cpu, **{MODEL: "cpu"})
    await loader.ensure(model, set())
    assert on_cpu.loads[0] == "as configured"
    loader, model = made(tmp_path, on_gpu, **{MODEL: "cuda:1"})
    await loader.ensure(model, set())
    assert on_gpu.loads == ["tensorrt"]


async def test_without_plans_the_repository_decides(tmp_path: Path) -> None:
    install(write_model(tmp_path))
    triton = Triton()
    loader = ModelLoader(triton, Metrics(), {})  # type: ignore[arg-type]
    await loader.ensure(ModelState("add", MODEL, ()), set())
    assert triton.loads == ["as configured"]


def test_what_the_settings_ask_for() -> None:
    wanted = Settings(triton={"start": False, "use_plans": True}, iot={"detection_side": 960})
    chooser = plan_chooser(wanted)
    assert chooser is not None
    assert chooser.longest == {"face_detector": 960}
    assert plan_chooser(Settings()) is None
    assert plan_chooser(Settings(triton={"use_plans": True})) is not None  # of the embedded server
    with pytest.raises(ValueError, match="one Triton"):
        Settings(triton={"start": False, "use_plans": True, "url": "a:1,b:1"})
