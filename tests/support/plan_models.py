"""A tiny model with a plan, and an engine that stands in for TensorRT."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from export.errors import ExportError
from gateway.plans.declared import PlanDeclaration, declared
from gateway.plans.key import KEY, PLAN, PlanKey, PlanRecord, file_sha256

MODEL = "tiny"
PORTABLE = """
name: "tiny"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
PLANNED = """
name: "tiny"
backend: "tensorrt"
default_model_filename: "model.plan"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]
parameters [
  { key: "plan_precisions" value: { string_value: "FP16,FP32" } },
  { key: "plan_min_shapes" value: { string_value: "x:1x1" } },
  { key: "plan_opt_shapes" value: { string_value: "x:4x16" } },
  { key: "plan_max_shapes" value: { string_value: "x:8x32" } },
  { key: "plan_guard" value: { string_value: "difference:0.001" } }
]
"""


def write_model(repository: Path, summand: float = 1.0, planned: str = PLANNED) -> Path:
    """Writes a model that adds a number; returns its version folder."""
    folder = repository / MODEL
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "config.pbtxt").write_text(PORTABLE)
    (folder / "configs" / "tensorrt.pbtxt").write_text(planned)
    (folder / "1" / "model.onnx").write_bytes(graph(summand))
    return folder / "1"


def install_plan(folder: Path, plan: bytes = b"a plan", **changes: str) -> PlanRecord:
    """Puts a plan and its key file into a version folder, the key changed as given."""
    wanted = declared(folder.parents[1], MODEL)
    assert wanted is not None
    onnx_digest = file_sha256(folder / "model.onnx")
    key = PlanKey(onnx_digest, "10.13.3.9", "NVIDIA H200", "9.0", "FP16", wanted.profile)
    (folder / PLAN).write_bytes(plan)
    record = PlanRecord(replace(key, **changes), hashlib.sha256(plan).hexdigest(), {})
    record.write(folder / KEY)
    return record


def graph(summand: float) -> bytes:
    """FP32 [batch, length] plus a number."""
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "length"])
        for name in ("x", "y")
    ]
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [summand])
    node = helper.make_node("Add", ["x", "one"], ["y"])
    body = helper.make_graph([node], "tiny", tensors[:1], tensors[1:], [one])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass
class StandInEngine:
    """Plans are the precision's name and the graph; a precision may add an error or be refused."""

    errors: dict[str, float] = field(default_factory=dict)
    impossible: tuple[str, ...] = ()
    built: list[str] = field(default_factory=list)
    timings: list[bytes] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def build(
        self, graph: Path, declaration: PlanDeclaration, precision: str, timings: bytes
    ) -> tuple[bytes, bytes]:
        if precision in self.impossible:
            raise ExportError(f"no {precision}")
        self.built.append(precision)
        self.timings.append(timings)
        return precision.encode() + b"|" + graph.read_bytes(), timings + b"t"

    def run(self, plan: bytes, feed: dict[str, Any], outputs: list[str]) -> list[Any]:
        precision, _, model = plan.partition(b"|")
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.shapes.append(feed["x"].shape)
        error = np.float32(self.errors.get(precision.decode(), 0.0))
        return [one + error for one in session.run(outputs, feed)]
