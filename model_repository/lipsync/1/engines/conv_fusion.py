"""Finds convolutions of an ONNX graph that can take what follows them in: a sum and a ReLU.

cuDNN computes `ReLU(convolution + z + bias)` in one kernel, which spares writing the map and
reading it again for the bias, for the sum and for the ReLU. The operators are PyTorch's
`cudnn_convolution_relu` and `cudnn_convolution_add_relu`.
"""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import NodeProto, helper

CONV_RELU = "ConvRelu"
"""x, weight and bias (its name empty where there is none)."""
CONV_ADD_RELU = "ConvAddRelu"
"""x, weight, bias (likewise) and what is added."""

Shapes = dict[str, tuple[int, ...]]


def fused_nodes(model: onnx.ModelProto) -> list[NodeProto]:
    """Return the nodes of a graph in order, with those fused that can be.

    Depthwise and other grouped convolutions stay: cuDNN has few fused kernels for them.

    Args:
        model: A skeleton of `tenants.graph.part`.
    """
    graph = model.graph
    shapes = _shapes(model)
    makers = {node.output[0]: node for node in graph.node}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    replaced: dict[str, NodeProto] = {}
    gone: set[str] = set()
    for relu in graph.node:
        if relu.op_type != "Relu" or uses[relu.input[0]] != 1:
            continue
        total = makers.get(relu.input[0])
        if total is None:
            continue
        if _fusable(total, shapes):
            replaced[relu.output[0]] = _fused(CONV_RELU, total, relu)
            gone.add(total.output[0])
        elif (summand := _summand(total, makers, uses, shapes)) is not None:
            conv, other = summand
            replaced[relu.output[0]] = _fused(CONV_ADD_RELU, conv, relu, other)
            gone |= {total.output[0], conv.output[0]}
    return [replaced.get(node.output[0], node) for node in graph.node if node.output[0] not in gone]


def _summand(
    total: NodeProto, makers: dict[str, NodeProto], uses: Counter[str], shapes: Shapes
) -> tuple[NodeProto, str] | None:
    """Return a sum's convolution that nothing else uses, and the name of what is added."""
    if total.op_type != "Add":
        return None
    for name, other in (total.input, reversed(total.input)):
        conv = makers.get(name)
        same = name in shapes and shapes[name] == shapes.get(other)
        if conv is not None and same and uses[name] == 1 and _fusable(conv, shapes):
            return conv, other
    return None


def _fusable(node: NodeProto, shapes: Shapes) -> bool:
    """Whether a node is a dense convolution over two axes that pads evenly."""
    if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
        return False
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    pads = list(attributes.get("pads", (0, 0, 0, 0)))
    return (
        len(shapes.get(node.input[1], ())) == 4
        and len(pads) == 4
        and pads[:2] == pads[2:]
        and attributes.get("group", 1) == 1
        and attributes.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    )


def _fused(kind: str, conv: NodeProto, relu: NodeProto, *added: str) -> NodeProto:
    inputs = [*conv.input, *[""] * (3 - len(conv.input)), *added]
    fused = helper.make_node(kind, inputs, [relu.output[0]])
    fused.attribute.extend(conv.attribute)
    return fused


def _shapes(model: onnx.ModelProto) -> Shapes:
    """Return what is known of the shapes in a graph of a fixed batch."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes: Shapes = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes
