"""Graphs with the interface of a lip-sync tenant that are no network: hostile, or odd."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = tuple[str, list[str], list[str], dict[str, Any]]
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def network(nodes: list[Node], **constants: Any) -> onnx.ModelProto:
    """A graph from `input` and `audio` to `output`; `frame` stands for what the nodes make."""
    made = [helper.make_node(kind, i, o, **attributes) for kind, i, o, attributes in nodes]
    made.append(helper.make_node("Slice", ["input", "begin", "end", "axis"], ["face"]))
    made.append(helper.make_node("Relu", ["face"], ["output"]))
    numbers = {"begin": [0], "end": [3], "axis": [1], **constants}
    initializers = [
        numpy_helper.from_array(
            value if isinstance(value, np.ndarray) else np.array(value, np.int64), name
        )
        for name, value in numbers.items()
    ]
    graph = helper.make_graph(
        made,
        "g",
        [
            helper.make_tensor_value_info("input", FLOAT, (1, 6, 320, 320)),
            helper.make_tensor_value_info("audio", FLOAT, (1, 32, 16, 16)),
        ],
        [helper.make_tensor_value_info("output", FLOAT, (1, 3, 320, 320))],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["again"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("count", INT, ()),
            helper.make_tensor_value_info("more", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("state", FLOAT, ()),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", FLOAT, ()),
        ],
    )
    yes = np.array(True)
    nodes: list[Node] = [("Loop", ["", "yes", "zero"], ["end_of_it"], {"body": body})]
    return network(nodes, yes=yes, zero=np.array(0, np.float32))


def branch() -> onnx.ModelProto:
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros(1)))],
        "inner",
        [],
        [helper.make_tensor_value_info("c", TensorProto.DOUBLE, (1,))],
    )
    both = {"then_branch": inner, "else_branch": inner}
    return network([("If", ["yes"], ["x"], both)], yes=np.array(True))


def sizes_from_the_frame(last: list[Node], **constants: Any) -> onnx.ModelProto:
    """``n``, an int64 of shape [1], is computed from the frame's brightest pixel."""
    first: list[Node] = [
        ("ReduceMax", ["input"], ["bright"], {"keepdims": 0}),
        ("Mul", ["bright", "million"], ["many"], {}),
        ("Cast", ["many"], ["whole"], {"to": INT}),
        ("Reshape", ["whole", "one"], ["n"], {}),
    ]
    million = np.array(3e8, np.float32)
    return network(first + last, million=million, one=[1], **constants)
