"""Plans are built once, judged before they are used, and never served where they do not belong.

TensorRT is stood in for: what is tested is everything around it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.errors import ExportError
from export.tensorrt.build import PlanOutcome, make_plan, retire_foreign
from export.tensorrt.engine import TensorRtEngine, is_quantised
from export.tensorrt.machine import PlanMachine
from export.tensorrt.store import PlanStore, installed
from gateway.triton.tensorrt_plans.choice import PlanChooser
from gateway.triton.tensorrt_plans.declared import declared
from gateway.triton.tensorrt_plans.key import KEY, PLAN
from tests.support.plan_models import MODEL, PLANNED, StandInEngine, graph, write_model

HOPPER = PlanMachine("10.13.3.9", "NVIDIA H200", "9.0")


class Workshop:
    """A repository with one model, and a store."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        self.folder = write_model(self.repository)
        self.store = PlanStore(folder / "plans")

    def make(self, engine: StandInEngine, machine: PlanMachine = HOPPER) -> PlanOutcome:
        wanted = declared(self.repository, MODEL)
        assert wanted is not None
        return make_plan(wanted, self.repository, self.store, machine, engine)

    def chosen(self) -> str:
        choice = PlanChooser(self.repository).choose(MODEL)
        assert choice is not None
        return str(choice.config["backend"])


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_plan_is_built_once_and_then_chosen(workshop: Workshop) -> None:
    engine = StandInEngine()
    first, second = workshop.make(engine), workshop.make(engine)
    assert engine.built == ["FP16"]
    assert (first.changed, second.changed) == (True, False)
    assert (workshop.folder / PLAN).read_bytes().startswith(b"FP16|")
    assert installed(workshop.folder) == first.record
    assert workshop.chosen() == "tensorrt"
    assert engine.shapes == [(1, 1), (4, 16), (8, 32)]
    assert first.record.measured == {"difference": [0.0, 0.0, 0.0], "bound": 0.001}


def test_a_precision_that_fails_its_guard_is_not_used(workshop: Workshop) -> None:
    engine = StandInEngine(errors={"FP16": 0.1})
    outcome = workshop.make(engine)
    assert outcome.record.key.precision == "FP32"
    assert "FP16" in outcome.refused[0]
    (workshop.folder / PLAN).unlink()
    assert workshop.make(engine).record.key.precision == "FP32"
    assert engine.built == ["FP16", "FP32"]  # neither is built again


def test_a_new_guard_judges_anew_what_was_measured(workshop: Workshop) -> None:
    engine = StandInEngine(errors={"FP16": 0.01})
    declaration = workshop.folder.parent / "configs" / "tensorrt.pbtxt"

    def made_with(guard: str) -> str:
        declaration.write_text(PLANNED.replace("difference:0.001", guard))
        return workshop.make(engine).record.key.precision

    assert made_with("difference:0.001") == "FP32"
    assert made_with("difference:0.1") == "FP16"
    assert engine.built == ["FP16", "FP32", "FP16"]  # what was refused had not been kept
    assert made_with("difference:0.001") == "FP32"
    assert made_with("difference:0.1") == "FP16"
    assert len(engine.built) == 3
    assert made_with("cosine:0.5") == "FP16"
    assert len(engine.built) == 4


@pytest.mark.parametrize("error", [0.1, float("nan"), float("inf")])
def test_onnx_stays_where_no_precision_is_good_enough(error: float, workshop: Workshop) -> None:
    workshop.make(StandInEngine())
    (workshop.folder / "model.onnx").write_bytes(graph(5.0))
    engine = StandInEngine(errors={"FP16": error, "FP32": error}, impossible=("FP8",))
    with pytest.raises(ExportError, match="stays on ONNX"):
        workshop.make(engine)
    assert not (workshop.folder / PLAN).exists()
    assert workshop.chosen() == "onnxruntime"


def test_a_precision_that_cannot_be_built_is_tried_at_every_start(workshop: Workshop) -> None:
    assert workshop.make(StandInEngine(impossible=("FP16",))).record.key.precision == "FP32"
    assert workshop.make(StandInEngine()).record.key.precision == "FP16"


def test_timings_are_kept_for_the_next_build(workshop: Workshop) -> None:
    engine = StandInEngine(errors={"FP16": 1.0})
    workshop.make(engine)
    workshop.make(engine, replace(HOPPER, compute_capability="12.0"))
    workshop.make(engine, replace(HOPPER, gpu="NVIDIA H100 80GB HBM3"))
    assert engine.timings == [b"", b"t"] * 3


def test_what_changes_a_plan(workshop: Workshop) -> None:
    engine = StandInEngine()
    workshop.make(engine)
    workshop.make(engine, replace(HOPPER, tensorrt="10.14.1.48"))
    workshop.make(engine, replace(HOPPER, compute_capability="12.0"))
    workshop.make(engine, replace(HOPPER, gpu="NVIDIA H100 80GB HBM3"))
    (workshop.folder / "model.onnx").write_bytes(graph(2.0))
    workshop.make(engine)
    planned = workshop.folder.parent / "configs" / "tensorrt.pbtxt"
    planned.write_text(PLANNED.replace("x:4x16", "x:8x16"))
    workshop.make(engine)
    assert len(engine.built) == 6
    planned.write_text(PLANNED)
    (workshop.folder / "model.onnx").write_bytes(graph(1.0))
    assert workshop.make(engine).changed  # the first plan, from the store
    assert len(engine.built) == 6


def test_a_damaged_plan_in_the_store_is_built_anew(workshop: Workshop, tmp_path: Path) -> None:
    engine = StandInEngine()
    digest = workshop.make(engine).record.key.digest
    (tmp_path / "plans" / digest / PLAN).write_bytes(b"damaged")
    (workshop.folder / PLAN).write_bytes(b"damaged too")
    assert workshop.make(engine).changed
    assert engine.built == ["FP16", "FP16"]
    assert workshop.chosen() == "tensorrt"


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        (HOPPER, []),
        (replace(HOPPER, tensorrt="10.5.0"), ["tensorrt"]),
        (replace(HOPPER, compute_capability="8.9"), ["compute_capability"]),
        (replace(HOPPER, gpu="NVIDIA H100 80GB HBM3"), ["gpu"]),  # also 9.0
        (None, ["no plan can be right here"]),
    ],
)
def test_a_foreign_plan_is_removed_before_triton_starts(
    machine: PlanMachine | None, why: list[str], workshop: Workshop
) -> None:
    workshop.make(StandInEngine())
    assert retire_foreign(workshop.repository, MODEL, machine) == why
    left = {file.name for file in workshop.folder.iterdir()}
    assert left == ({"model.onnx"} if why else {"model.onnx", PLAN, KEY})


def test_a_plan_of_unknown_origin_is_removed(workshop: Workshop) -> None:
    (workshop.folder / PLAN).write_bytes(b"from somewhere")
    assert retire_foreign(workshop.repository, MODEL, HOPPER) == ["no key file"]
    assert not (workshop.folder / PLAN).exists()
    assert retire_foreign(workshop.repository, MODEL, HOPPER) == []
    workshop.make(StandInEngine())
    (workshop.folder / "model.onnx").write_bytes(graph(3.0))
    assert retire_foreign(workshop.repository, MODEL, HOPPER) == ["onnx_sha256"]


def test_a_model_that_was_not_exported(workshop: Workshop) -> None:
    (workshop.folder / "model.onnx").unlink()
    with pytest.raises(ExportError, match="make models"):
        workshop.make(StandInEngine())


def test_fp8_needs_a_graph_that_is_quantised(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    plain = tmp_path / "plain.onnx"
    plain.write_bytes(graph(1.0))
    assert not is_quantised(plain)
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5])
    eight = helper.make_tensor("w", TensorProto.FLOAT8E4M3FN, [1], np.ones(1, np.float32))
    zero = helper.make_tensor("zero", TensorProto.FLOAT8E4M3FN, [], np.zeros(1, np.float32))
    nodes = [helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["y"])]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    body = helper.make_graph(nodes, "q", [], [out], [eight, scale, zero])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 19)])
    quantised = tmp_path / "quantised.onnx"
    onnx.save(model, str(quantised))
    assert is_quantised(quantised)


def test_without_tensorrt_the_reason_is_said() -> None:
    with pytest.raises(ExportError, match=r"tensorrt|GPU"):
        TensorRtEngine()


def test_the_key_file_is_for_people_too(workshop: Workshop) -> None:
    workshop.make(StandInEngine())
    told = json.loads((workshop.folder / KEY).read_text())
    assert told["key"]["tensorrt"] == "10.13.3.9"
    assert told["measured"]["bound"] == 0.001
