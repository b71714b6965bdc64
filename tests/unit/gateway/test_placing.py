"""Networks on as many GPUs as they are meant for, and callers that know what theirs run on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UnavailableError
from gateway.health.engine import network_fact
from gateway.health.loading import ModelLoader
from gateway.health.state import ModelState
from gateway.model_config import parameters
from gateway.telemetry.metrics import Metrics
from gateway.triton.placing import (
    NETWORKS,
    PLACED,
    on_cards,
    on_fewer_cards,
    was_changed,
    with_networks,
)
from gateway.triton.tensorrt_plans.choice import PlanChooser
from tests.support.plan_models import MODEL, install_plan, write_model

CALLER = "caller"
REPOSITORY: dict[str, dict[str, Any]] = {
    "network": {
        "backend": "onnxruntime",
        "max_batch_size": 128,
        "instance_group": [{"count": 2}],
        "parameters": {"cards": {"string_value": "1"}},
    },
    CALLER: {"backend": "python", "instance_group": [{"count": 1, "kind": "KIND_CPU"}]},
}


@dataclass
class Triton:
    """Loads models as core's NormalizeInstanceGroup places them.

    Attributes:
        gpus: those it sees.
        refuses: whether it refuses configurations that name GPUs.
        loads: model and the GPUs that its configuration named, in order.
    """

    gpus: tuple[int, ...]
    refuses: bool = False
    loads: list[tuple[str, list[int] | None]] = field(default_factory=list)
    running: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        groups = [dict(one) for one in (config or REPOSITORY[model]).get("instance_group", [{}])]
        named = [gpu for group in groups for gpu in group.get("gpus", [])]
        self.loads.append((model, named if config else None))
        if self.refuses and named and len(named) < len(self.gpus):
            raise UnavailableError(retry_after=1)
        for group in groups:
            if group.get("kind", "KIND_AUTO") == "KIND_AUTO":
                group["kind"] = "KIND_GPU" if self.gpus else "KIND_CPU"
            if group["kind"] == "KIND_GPU" and not group.get("gpus"):
                group["gpus"] = list(self.gpus)
        self.running[model] = {**(config or REPOSITORY[model]), "instance_group": groups}

    async def unload(self, model: str) -> None:
        self.running.pop(model, None)

    async def config(self, model: str) -> dict[str, Any]:
        return self.running[model]

    async def ready_models(self) -> set[str]:
        return set(self.running)

    async def live(self) -> bool:
        return True


async def loaded(triton: Triton, devices: dict[str, str] | None = None) -> ModelState:
    loader = ModelLoader(triton, Metrics(), devices or {})  # type: ignore[arg-type]
    model = ModelState("service", CALLER, ("network",))
    await loader.ensure(model, set())
    assert model.state != "missing"
    return model


async def test_without_a_gpu_everything_is_loaded_once() -> None:
    triton = Triton(())
    await loaded(triton)
    assert triton.loads == [("network", None), (CALLER, None)]


async def test_one_card_of_eight() -> None:
    triton = Triton((0, 1, 2, 3, 4, 5, 6, 7))
    await loaded(triton)
    assert triton.running["network"]["instance_group"] == [
        {"count": 2, "kind": "KIND_GPU", "gpus": [0]}
    ]
    assert parameters(triton.running["network"])[PLACED] == "1 of 8 GPUs"
    told = json.loads(parameters(triton.running[CALLER])[NETWORKS])
    assert told == {"network": {"device": "cuda", "instances": 2, "most_rows": 128}}
    assert triton.loads == [("network", None), ("network", [0]), (CALLER, None), (CALLER, [])]


async def test_the_first_card_that_triton_can_use() -> None:
    triton = Triton((1, 2))  # 0 is too old for it
    await loaded(triton)
    assert triton.running["network"]["instance_group"][0]["gpus"] == [1]
    assert json.loads(parameters(triton.running[CALLER])[NETWORKS])["network"]["device"] == "cuda:1"


async def test_on_one_card_only_the_caller_is_told() -> None:
    triton = Triton((0,))
    await loaded(triton)
    assert [name for name, _ in triton.loads] == ["network", CALLER, CALLER]
    assert PLACED not in parameters(triton.running["network"])


@pytest.mark.parametrize(("device", "fact"), [("cpu", None), ("cuda:2", "cuda:2")])
async def test_a_device_of_the_configuration_wins(device: str, fact: str | None) -> None:
    triton = Triton((0, 1, 2))
    await loaded(triton, {"network": device})
    told = json.loads(parameters(triton.running[CALLER]).get(NETWORKS, "{}"))
    assert (told["network"]["device"] if told else None) == fact
    gpus = [group.get("gpus", []) for group in triton.running["network"]["instance_group"]]
    assert gpus == ([[2]] if fact else [[]])


async def test_what_cannot_be_moved_stays_where_it_is() -> None:
    triton = Triton((0, 1), refuses=True)
    await loaded(triton)
    assert triton.running["network"]["instance_group"][0]["gpus"] == [0, 1]
    told = json.loads(parameters(triton.running[CALLER])[NETWORKS])
    assert told["network"]["instances"] == 4


async def test_a_dead_caller_is_told_again() -> None:
    triton = Triton((0, 1))
    loader = ModelLoader(triton, Metrics(), {})  # type: ignore[arg-type]
    await loader.ensure(ModelState("service", CALLER, ("network",)), set())
    await loader.reload(["network", CALLER])
    assert triton.running["network"]["instance_group"][0]["gpus"] == [0]
    assert NETWORKS in parameters(triton.running[CALLER])


async def test_a_plan_lands_where_onnx_ran(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    planned = folder.parent / "configs" / "tensorrt.pbtxt"
    cards = 'parameters [ { key: "cards" value: { string_value: "1" } } ]\n'
    for file in (planned, folder.parent / "config.pbtxt"):
        file.write_text(file.read_text() + cards)
    triton, chooser = Triton((0, 1)), PlanChooser(tmp_path)
    loader = ModelLoader(triton, Metrics(), {}, chooser)  # type: ignore[arg-type]
    model = ModelState("add", MODEL, ())
    await loader.ensure(model, set())
    assert triton.running[MODEL]["instance_group"][0]["gpus"] == [0]
    install_plan(folder)
    triton.loads.clear()
    await loader.ensure(model, set(triton.running))
    assert triton.running[MODEL]["backend"] == "tensorrt"
    assert triton.loads == [(MODEL, [0])]
    assert chooser.most_rows(MODEL) == 8
    assert chooser.most_rows("absent") == 0
    planned.write_text("no configuration")
    assert chooser.most_rows(MODEL) == 0


def test_calls_fit_the_plan_that_may_come() -> None:
    config = {"max_batch_size": 128, "instance_group": [{"kind": "KIND_GPU", "gpus": [0]}]}
    for rows, most in ((0, 128), (32, 32), (256, 128)):
        fact = network_fact(config, rows)
        assert fact is not None
        assert fact["most_rows"] == most
    assert network_fact({**config, "instance_group": [{"kind": "KIND_CPU"}]}, 8) is None
    unbatched = network_fact({**config, "max_batch_size": 0}, 0)
    assert unbatched is not None
    assert unbatched["most_rows"] == 0


@pytest.mark.parametrize("cards", ["0", "2", "3", "", "all", "-1"])
def test_configurations_that_stay(cards: str) -> None:
    config = {
        "parameters": {"cards": {"string_value": cards}},
        "instance_group": [{"kind": "KIND_GPU", "gpus": [0, 1]}],
    }
    assert on_fewer_cards(config) is None
    assert not was_changed(config)


def test_groups_on_the_cpu_stay_there() -> None:
    groups = [{"kind": "KIND_CPU", "count": 1}, {"kind": "KIND_GPU", "gpus": [0, 1], "count": 2}]
    config = {"instance_group": groups, "parameters": {"cards": {"string_value": "1"}}}
    found = on_fewer_cards(config)
    assert found is not None
    assert found["instance_group"] == [groups[0], {**groups[1], "gpus": [0]}]
    assert was_changed(found)
    assert config["instance_group"] == groups  # a copy was made
    assert on_cards({}, [3])["instance_group"] == [{"kind": "KIND_GPU", "gpus": [3]}]
    assert with_networks({}, {}) is None
