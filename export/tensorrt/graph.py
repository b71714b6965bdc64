"""What TensorRT is given in place of a graph that was written for ONNX Runtime on a CPU.

- It takes UINT8 inputs only where each goes straight into a Cast: "No other layers support UINT8
  inputs, even just data-movement ops like reshape / transpose"
  (https://github.com/NVIDIA/TensorRT/issues/3985). Pentad's graphs move the bytes first, which is
  cheaper on a CPU, and cast then.
- It has a PRelu of its own (IParametricReLULayer). The four operators that stand for one on a CPU
  (:func:`export.pixels.split_prelu`) would be four passes over the memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from export.errors import ExportError
from export.pixels import join_prelu, split_prelus

MOVING = ("Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that only move what their first input holds, so that they may do so after the cast."""


def for_tensorrt(graph: Path) -> bytes | None:
    """Return the same graph as TensorRT takes it best; None where the file is right as it is.

    The outputs are the same: every byte is a number of FP32, and what is joined was split.

    Raises:
        ExportError: Something computes with bytes.
    """
    outline = onnx.load(str(graph), load_external_data=False)
    if not _bytes_inputs(outline) and not split_prelus(outline):
        return None
    model = onnx.load(str(graph))
    _cast_first(model, _bytes_inputs(model))
    join_prelu(model)
    return bytes(model.SerializeToString())


def _bytes_inputs(model: Any) -> list[str]:
    weights = {initializer.name for initializer in model.graph.initializer}
    return [
        entry.name
        for entry in model.graph.input
        if entry.type.tensor_type.elem_type == TensorProto.UINT8 and entry.name not in weights
    ]


def _cast_first(model: Any, names: list[str]) -> None:
    """Casts these inputs to FP32 before anything else.

    Raises:
        ExportError: Something computes with the bytes.
    """
    moved = set(names)
    for node in model.graph.node:  # in the order of computing
        if moved.isdisjoint(node.input) or node.op_type in ("Cast", "Shape"):
            continue
        if node.op_type not in MOVING or not moved.isdisjoint(node.input[1:]):
            raise ExportError(f"TensorRT takes bytes only to cast them, {node.op_type} uses them")
        moved.update(node.output)
    if wrong := moved & {output.name for output in model.graph.output}:
        raise ExportError(f"TensorRT gives no bytes that it has moved: {wrong.pop()}")
    kept = [value for value in model.graph.value_info if value.name not in moved]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = f"{name}/fp32"
    for name in names:
        cast = helper.make_node("Cast", [name], [f"{name}/fp32"], to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
