"""Graphs that take bytes, as TensorRT reads them.

TensorRT takes UINT8 inputs only where each goes straight into a Cast: "No other layers support
UINT8 inputs, even just data-movement ops like reshape / transpose"
(https://github.com/NVIDIA/TensorRT/issues/3985). Pentad's graphs move the bytes first, which is
cheaper on a CPU, and cast then.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from export.errors import ExportError

MOVING = ("Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that only move what their first input holds, so that they may do so after the cast."""


def cast_first(graph: Path) -> bytes | None:
    """The same graph with its bytes cast to FP32 at once; None for one that takes no bytes.

    Every byte is a number of FP32, so the outputs are the same.

    Raises:
        ExportError: Something computes with the bytes.
    """
    model = onnx.load(str(graph), load_external_data=False)
    given = {one.name for one in model.graph.initializer}
    names = [
        one.name
        for one in model.graph.input
        if one.type.tensor_type.elem_type == TensorProto.UINT8 and one.name not in given
    ]
    if not names:
        return None
    model = onnx.load(str(graph))
    moved = set(names)
    for node in model.graph.node:  # in the order of computing
        if moved.isdisjoint(node.input) or node.op_type in ("Cast", "Shape"):
            continue
        if node.op_type not in MOVING or not moved.isdisjoint(node.input[1:]):
            raise ExportError(f"TensorRT takes bytes only to cast them, {node.op_type} uses them")
        moved.update(node.output)
    if wrong := moved & {one.name for one in model.graph.output}:
        raise ExportError(f"TensorRT gives no bytes that it has moved: {wrong.pop()}")
    kept = [one for one in model.graph.value_info if one.name not in moved]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = f"{name}/fp32"
    for name in names:
        cast = helper.make_node("Cast", [name], [f"{name}/fp32"], to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
    return bytes(model.SerializeToString())
