"""Sizes of an ONNX graph's tensors, and the most memory that they take at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime


def tensor_bytes(file: Path, feed: dict[str, Any]) -> dict[str, int]:
    """Size of every tensor of one run, inputs and outputs included, weights not."""
    model = onnx.load(str(file))
    graph = model.graph
    outputs = [one.name for one in graph.output]
    inner = [name for node in graph.node for name in node.output if name and name not in outputs]
    graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    made = zip([one.name for one in session.get_outputs()], session.run(None, feed), strict=True)
    return {name: value.nbytes for name, value in (*made, *feed.items())}


def peak_bytes(graph: Any, sizes: dict[str, int]) -> int:
    """The most memory that tensors take at once.

    A tensor lives from the operator that makes it to the last one that reads it. Every operator's
    output is counted, so an engine that fuses or reuses needs less.
    """
    steps = [node for node in graph.node if node.op_type != "Constant"]
    last = {name: place for place, node in enumerate(steps) for name in node.input}
    last.update({one.name: len(steps) for one in graph.output})
    alive = {one.name for one in graph.input}
    peak = 0
    for place, node in enumerate(steps):
        alive |= {name for name in node.output if name in sizes}
        peak = max(peak, sum(sizes[name] for name in alive))
        alive = {name for name in alive if last.get(name, -1) > place}
    return peak
