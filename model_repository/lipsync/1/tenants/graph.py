"""What tenants share and what they differ in: the graph without weights, its hash, the weights."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from lipsync_errors import RefusedError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SHAPING = frozenset(
    {"Resize", "Upsample", "Pad", "Clip", "Range", "Slice", "Reshape", "Expand", "Tile", "Cast"}
)
"""Operators whose constants are part of the graph: the same for all tenants of one shape."""
TRAINED = frozenset({"Conv", "FusedConv", "ConvTranspose", "Gemm", "MatMul", "PRelu"})
"""Operators whose constants are weights, however few numbers they have."""
MIN_NUMBERS = 3
"""Elsewhere a smaller constant is part of the graph, too: a factor of an activation, say."""


@dataclass(frozen=True)
class Weight:
    """One trained tensor, by where it is used.

    Attributes:
        name: Name as an input of the skeleton: `w0`, `w1`, … in the order of use.
        value: FP32 array.
    """

    name: str
    value: NDArray[Any]


@dataclass(frozen=True)
class Parted:
    """A graph and the weights that were in it.

    Attributes:
        skeleton: Graph that takes every weight as an input.
        graph: Hash of the skeleton; equal for all tenants that can share one engine.
        weights: In the order of the skeleton's inputs.
    """

    skeleton: onnx.ModelProto
    graph: str
    weights: list[Weight]


def remove_zero_pads(model: onnx.ModelProto) -> int:
    """Remove `Pad` nodes that pad nothing, once their amounts are constants.

    The published network pads every up-sampled map to the size of its partner at run time; at one
    fixed size that is by nothing, but it would keep ONNX Runtime from its blocked layout.

    Returns:
        How many were removed.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        inputs = [renamed.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
        if (
            node.op_type == "Pad"
            and node.output[0] not in outputs
            and _pads_nothing(node, constants)
        ):
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    if renamed:
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return len(renamed)


def part(model: onnx.ModelProto) -> Parted:
    """Take the trained tensors out of a graph; each place of use is one input of the skeleton.

    Exporters name weights as they like and share equal ones, and ONNX Runtime writes nodes in an
    order that changes from run to run. None of that matters: nodes are put in the order of a walk
    from the output, and a weight is known by its node and the input slot that it goes into.

    Args:
        model: Optimised graph at a fixed batch. It is left as it is.

    Raises:
        RefusedError: tenant_contract: it has control flow, whose inner graphs may use weights.
    """
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        raise RefusedError("tenant_contract", "control flow (If, Loop, Scan) is not supported")
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(model)
    graph = skeleton.graph
    _order_nodes(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    weights: list[Weight] = []
    kept: dict[str, None] = {}
    for node in graph.node:
        for slot, name in enumerate(node.input):
            tensor = constants.get(name)
            if tensor is None:
                continue
            if not _is_weight(node, tensor):
                kept[name] = None
                continue
            weight = Weight(f"w{len(weights)}", numpy_helper.to_array(tensor))
            node.input[slot] = weight.name
            weights.append(weight)
    del graph.initializer[:]
    graph.initializer.extend(constants[name] for name in kept)
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    for weight in weights:
        info = helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, weight.value.shape)
        graph.input.append(info)
    del graph.value_info[:]
    _rename_values(graph)
    skeleton.ClearField("metadata_props")
    skeleton.producer_name, skeleton.producer_version, skeleton.doc_string = "", "", ""
    return Parted(skeleton, _hash(skeleton), weights)


def _is_weight(node: onnx.NodeProto, tensor: TensorProto) -> bool:
    return (
        tensor.data_type == TensorProto.FLOAT
        and node.op_type not in SHAPING
        and (node.op_type in TRAINED or math.prod(tensor.dims) >= MIN_NUMBERS)
    )


def _pads_nothing(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> bool:
    if len(node.input) < 2 or node.input[1] not in constants:
        return False
    return not numpy_helper.to_array(constants[node.input[1]]).any()


def _order_nodes(graph: onnx.GraphProto) -> None:
    """Sorts nodes by a depth-first walk from the outputs, inputs before users, slot by slot."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    order: dict[int, None] = {}
    stack = [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while stack:
        needed = [makers[name] for name in graph.node[stack[-1]].input if name in makers]
        missing = [index for index in needed if index not in order]
        if missing:
            stack.append(missing[0])
        else:
            order[stack.pop()] = None
    nodes = [graph.node[index] for index in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _rename_values(graph: onnx.GraphProto) -> None:
    """Names everything inside by its place, so that equal graphs are equal byte for byte."""
    fixed = {value.name for value in (*graph.input, *graph.output)} | {""}
    names: dict[str, str] = {}
    for number, tensor in enumerate(graph.initializer):
        names[tensor.name] = f"c{number}"
        tensor.name, tensor.doc_string = f"c{number}", ""
    for number, node in enumerate(graph.node):
        for slot, name in enumerate(node.output):
            if name not in fixed:
                names[name] = f"v{number}_{slot}"
    for number, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{number}", ""
        node.ClearField("metadata_props")
        for values in (node.input, node.output):
            for slot, name in enumerate(values):
                values[slot] = names.get(name, name)
    graph.name, graph.doc_string = "skeleton", ""
    graph.ClearField("metadata_props")
    for value in (*graph.input, *graph.output):
        value.doc_string = ""


def _hash(skeleton: onnx.ModelProto) -> str:
    """SHA-256 over nodes in order, their inputs by place, attributes, constants and shapes."""
    digest = hashlib.sha256()
    for line in _lines(skeleton):
        digest.update(line)
        digest.update(b"\n")
    return digest.hexdigest()


def _lines(skeleton: onnx.ModelProto) -> Iterator[bytes]:
    graph = skeleton.graph
    opsets = sorted((entry.domain, entry.version) for entry in skeleton.opset_import)
    yield json.dumps(opsets).encode()
    for value in (*graph.input, *graph.output):
        yield value.name.encode() + value.type.SerializeToString(deterministic=True)
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        yield f"{tensor.name} {array.dtype} {array.shape}".encode()
        yield array.tobytes()
    for node in graph.node:
        yield json.dumps([node.domain, node.op_type, *node.input, "->", *node.output]).encode()
        for attribute in sorted(node.attribute, key=lambda item: item.name):
            yield attribute.SerializeToString(deterministic=True)
