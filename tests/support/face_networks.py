"""Small ONNX networks with the interfaces of the published face networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCRFD_MARKS = np.array([[-0.4, -0.4], [0.4, -0.4], [0.0, 0.0], [-0.3, 0.45], [0.3, 0.45]])
"""Landmarks of `scrfd` from the middle of a bright cell, in strides."""
STRIDES = (8, 16, 32)


class _Graph:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, value: str, weights: np.ndarray, bias: np.ndarray, **attributes: Any) -> str:
        inputs = [value, self.weight(weights.astype("f4")), self.weight(bias.astype("f4"))]
        return self.node("Conv", inputs, **attributes)

    def save(self, file: Path, shape: list[Any], outputs: dict[str, list[Any]]) -> Path:
        """Writes the model; input `input.1`, in the opset of the published ones."""
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
            for name, dims in {"input.1": shape, **outputs}.items()
        ]
        graph = helper.make_graph(self.nodes, "network", values[:1], values[1:], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
        model.ir_version = 6
        onnx.checker.check_model(model)
        onnx.save(model, str(file))
        return file


def scrfd(file: Path, *, random: bool = False) -> Path:
    """A network as InsightFace exports SCRFD: rows by place, picture and anchor.

    Not random, its first anchor at stride 32 answers a bright cell with a face of four strides
    around the cell's first pixel, and nothing else.
    """
    graph, chance = _Graph(), np.random.default_rng(4)
    outputs: dict[str, list[Any]] = {}
    groups: list[list[str]] = [[], [], []]
    for stride in STRIDES:
        cells = graph.node(
            "AveragePool", ["input.1"], kernel_shape=[stride, stride], strides=[stride, stride]
        )
        for group, width in enumerate((1, 4, 10)):
            weights, bias = np.zeros((2 * width, 3, 1, 1)), np.zeros(2 * width)
            if random:
                weights, bias = chance.normal(0, 1, weights.shape), chance.normal(0, 1, bias.shape)
            elif width == 1:
                bias[:] = -50
                if stride == 32:
                    weights[0], bias[0] = 40 / 3, -20
            else:
                bias[:width] = 2.0 if width == 4 else SCRFD_MARKS.ravel()
            maps = graph.conv(cells, weights, bias)
            last = graph.node("Transpose", [maps], perm=[2, 3, 0, 1])
            shape = graph.weight(np.array([-1, width], np.int64))
            name = f"{448 + 10 * group + stride}"
            if width == 1:
                graph.node("Sigmoid", [graph.node("Reshape", [last, shape])], name)
            else:
                graph.node("Reshape", [last, shape], name)
            groups[group].append(name)
    for group, width in zip(groups, (1, 4, 10), strict=True):
        outputs.update({name: ["rows" + name, width] for name in group})
    return graph.save(file, [1, 3, "height", "width"], outputs)


def centerface(file: Path, heads: int = 4) -> Path:
    """A network as CenterFace is published: fixed sizes, four maps of stride 4."""
    graph, chance = _Graph(), np.random.default_rng(5)
    cells = graph.node("AveragePool", ["input.1"], kernel_shape=[4, 4], strides=[4, 4])
    outputs: dict[str, list[Any]] = {}
    for number, width in enumerate((1, 2, 2, 10)[:heads]):
        weights = chance.normal(0, 0.005, (width, 3, 1, 1))
        maps = graph.conv(cells, weights, chance.normal(0, 0.1, width))
        name = graph.node("Sigmoid" if width == 1 else "Identity", [maps], f"{537 + number}")
        outputs[name] = [10, width, 8, 8]
    return graph.save(file, [10, 3, 32, 32], outputs)


def embedder(file: Path, dimensions: int = 512, side: int = 112) -> Path:
    """A small relative of MobileFaceNet: one picture at a time, PRelu with a slope per channel."""
    graph, chance = _Graph(), np.random.default_rng(6)
    value, channels = "input.1", 3
    for _ in range(2):
        weights = chance.normal(0, 0.3, (8, channels, 3, 3))
        value = graph.conv(value, weights, chance.normal(0, 0.1, 8), strides=[4, 4])
        slopes = chance.uniform(-0.5, 1.5, (8, 1, 1)).astype("f4")
        value, channels = graph.node("PRelu", [value, graph.weight(slopes)]), 8
    rest = (((side - 3) // 4 + 1) - 3) // 4 + 1
    weights = chance.normal(0, 0.05, (dimensions, 8, rest, rest))
    value = graph.conv(value, weights, chance.normal(0, 0.1, dimensions))
    graph.node("Reshape", [value, graph.weight(np.array([1, -1], np.int64))], "output")
    return graph.save(file, [1, 3, side, side], {"output": [1, dimensions]})
