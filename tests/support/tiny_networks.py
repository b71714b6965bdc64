"""Small ONNX graphs whose weights or activations are nearly nothing."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 4096


def products(weights: list[float], width: int = WIDTH) -> onnx.ModelProto:
    """`x` FP32 [batch, width] times each weight in turn, to `y` of the same shape."""
    shape = ["batch", width]
    tensors = [
        numpy_helper.from_array(np.full(width, weight, np.float32), f"w{place}")
        for place, weight in enumerate(weights)
    ]
    values = ["x", *(f"v{place}" for place in range(1, len(weights))), "y"]
    nodes = [
        helper.make_node("Mul", [values[place], tensor.name], [values[place + 1]])
        for place, tensor in enumerate(tensors)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    return network(nodes, [ends[0]], [ends[1]], tensors)


def network(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    tensors: list[onnx.TensorProto],
) -> onnx.ModelProto:
    """A valid model of these parts."""
    graph = helper.make_graph(nodes, "network", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
