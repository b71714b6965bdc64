"""What a frame through a tenant's network costs, worked out before anything of it runs.

Every shape must follow from the graph alone. A shape that depends on the frame could be anything
for the next frame, and control flow could run for ever; both are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from lipsync_errors import RefusedError
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

MAX_NODES = 10_000
"""The documented network has some hundred."""
MAX_LIVE_BYTES = 2**29
"""Of the tensors that are needed at the same time. The documented network has 99 MiB."""
MAX_TOTAL_BYTES = 2**32
"""Of all tensors that one frame makes. The documented network has 0.66 GiB."""
MAX_OPERATIONS = 5 * 10**10
"""Multiplications and additions of one frame, as pairs. The documented network has 5.1e9."""
MAX_KNOWN = 4096
"""Numbers of a tensor whose values are followed, because shapes may be computed from them."""
SERVED_DOMAINS = ("", "ai.onnx")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ARITHMETIC = _names(
    """
    Abs Add Ceil Celu Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid
    HardSwish Identity LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not And Or Pow
    PRelu Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub Sum Swish Tanh
    ThresholdedRelu Where Xor Cast CastLike Dropout QuantizeLinear DequantizeLinear
    """
)
_SHAPING = _names(
    """
    Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather Pad Range Reshape Resize
    Shape Size Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze Upsample
    """
)
_LAYERS = _names(
    """
    AveragePool BatchNormalization Conv ConvTranspose FusedConv Gemm GlobalAveragePool
    GlobalMaxPool GridSample GroupNormalization InstanceNormalization LayerNormalization
    LogSoftmax LpNormalization MatMul MaxPool ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Softmax
    """
)
OPERATORS = _ARITHMETIC | _SHAPING | _LAYERS
"""What networks from pictures to pictures are made of; each costs what its shapes say."""
_FUSED = frozenset({"FusedConv", "Gelu", "QuickGelu", "FastGelu"})
"""Of ONNX Runtime's own domain, as its optimiser writes them."""


@dataclass(frozen=True)
class Cost:
    """Of one frame.

    Attributes:
        live_bytes: Most that the tensors need at one time, computed in the order of the graph.
        total_bytes: Of all tensors that are computed.
        operations: Pairs of a multiplication and an addition, about.
    """

    live_bytes: int
    total_bytes: int
    operations: int


def frame_cost(model: onnx.ModelProto) -> Cost:
    """Follows the shapes of one frame through a model whose batch is fixed; runs nothing of it.

    Raises:
        RefusedError: tenant_contract: control flow, an operator that such networks do not have, a
            shape that does not follow from the graph, or a cost beyond the limits above.
    """
    graph = model.graph
    if graph.sparse_initializer:
        raise _contract("sparse tensors are not known")
    if len(graph.node) > MAX_NODES:
        raise _contract(f"{len(graph.node)} operators, at most {MAX_NODES} allowed")
    for node in graph.node:
        _check_node(node)
    shapes = _Shapes(model)
    nodes = _ordered(graph)
    outputs = {value.name for value in graph.output}
    lasts = {name: index for index, node in enumerate(nodes) for name in node.input}
    sizes: dict[str, int] = {}
    live = peak = total = operations = 0
    for index, node in enumerate(nodes):
        shapes.follow(node)
        made_bytes = {name: shapes.bytes(name) for name in node.output if name}
        sizes.update(made_bytes)
        live += sum(made_bytes.values())
        total += sum(made_bytes.values())
        peak = max(peak, live)
        operations += shapes.operations(node)
        _check_limits(Cost(peak, total, operations))
        for name in {*node.input, *made_bytes}:
            if lasts.get(name, -1) <= index and name not in outputs:
                live -= sizes.pop(name, 0)
    return Cost(peak, total, operations)


def _check_limits(cost: Cost) -> None:
    if cost.live_bytes > MAX_LIVE_BYTES:
        raise _contract(f"a frame needs more than {MAX_LIVE_BYTES >> 20} MiB of tensors at once")
    if cost.total_bytes > MAX_TOTAL_BYTES:
        raise _contract(f"a frame makes more than {MAX_TOTAL_BYTES >> 20} MiB of tensors")
    if cost.operations > MAX_OPERATIONS:
        raise _contract(f"a frame takes more than {MAX_OPERATIONS:.0e} operations")


class _Shapes:
    """Types of all values so far, and the values of the small ones that are constant."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._imports = list(model.opset_import)
        self._versions = {entry.domain or "ai.onnx": entry.version for entry in self._imports}
        self._ir = model.ir_version
        self._known: dict[str, TensorProto] = {}
        self._types: dict[str, TypeProto] = {}
        for value in model.graph.input:
            self._types[value.name] = value.type
        for tensor in model.graph.initializer:
            self._add_constant(tensor.name, tensor)

    def follow(self, node: NodeProto) -> None:
        """Works out the types of a node's outputs, and their values where they are constant."""
        if node.op_type == "Constant":
            self._add_constant(node.output[0], _constant(node))
            return
        missing = [name for name in node.input if name and name not in self._types]
        if missing:
            raise _contract(f"{node.op_type} uses a value that nothing makes")
        for name, type_ in self._inferred(node).items():
            self._types[name] = type_
        for name in filter(None, node.output):
            if name not in self._types or _dims(self._types[name]) is None:
                reason = "the shape of an output depends on the frame or is not known"
                raise _contract(f"{node.op_type}: {reason}")
        self._fold(node)

    def bytes(self, name: str) -> int:
        """Of one value."""
        tensor = self._types[name].tensor_type
        width = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize
        return math.prod(self._shape(name)) * width

    def operations(self, node: NodeProto) -> int:
        """Of one node, for shapes that are known."""
        written = sum(math.prod(self._shape(name)) for name in node.output if name)
        read = sum(math.prod(self._shape(name)) for name in node.input if name)
        if node.op_type in ("Conv", "FusedConv"):
            return written * math.prod(self._shape(node.input[1])[1:])
        if node.op_type == "ConvTranspose":
            frame = math.prod(self._shape(node.input[0]))
            return written + frame * math.prod(self._shape(node.input[1])[1:])
        if node.op_type in ("MatMul", "Gemm"):
            left = self._shape(node.input[0])
            turned = any(item.name == "transA" and item.i for item in node.attribute)
            return written * (left[0] if turned else left[-1]) if left else written
        window = [item for item in node.attribute if item.name == "kernel_shape"]
        return written * math.prod(window[0].ints) if window else written + read

    def _shape(self, name: str) -> tuple[int, ...]:
        dims = _dims(self._types[name])
        return dims if dims is not None else ()

    def _add_constant(self, name: str, tensor: TensorProto) -> None:
        self._types[name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        if math.prod(tensor.dims) <= MAX_KNOWN:
            kept = TensorProto()
            kept.CopyFrom(tensor)
            kept.name = name
            self._known[name] = kept

    def _inferred(self, node: NodeProto) -> dict[str, TypeProto]:
        """Types of the outputs by onnx's own rules."""
        if node.domain == "com.microsoft" and node.op_type != "FusedConv":
            return {node.output[0]: self._types[node.input[0]]}
        plain = _plain(node)
        inputs = {name: self._types[name] for name in plain.input if name}
        known = {name: self._known[name] for name in plain.input if name in self._known}
        try:
            schema = onnx.defs.get_schema(plain.op_type, self._versions.get("ai.onnx", 1), "")
            return dict(
                onnx.shape_inference.infer_node_outputs(
                    schema, plain, inputs, known, None, self._imports, self._ir
                )
            )
        except Exception as error:  # onnx has no common base for these
            raise _contract(f"{node.op_type} does not fit its inputs") from error

    def _fold(self, node: NodeProto) -> None:
        """Compute small outputs of constant inputs: exporters compute sizes with operators."""
        if node.op_type == "Shape":
            dims = np.array(self._shape(node.input[0]), np.int64)
            bounds = {item.name: item.i for item in node.attribute}
            dims = dims[slice(bounds.get("start", 0), bounds.get("end"))]
            self._add_constant(node.output[0], numpy_helper.from_array(dims))
            return
        small = all(math.prod(self._shape(name)) <= MAX_KNOWN for name in node.output if name)
        if node.domain not in SERVED_DOMAINS or not small:
            return
        if any(name and name not in self._known for name in node.input):
            return
        from onnx.reference import ReferenceEvaluator

        feeds = {name: numpy_helper.to_array(self._known[name]) for name in node.input if name}
        try:
            with np.errstate(all="ignore"):
                values = ReferenceEvaluator(self._alone(node)).run(None, feeds)
        except Exception as error:  # whatever the operator makes of these constants
            raise _contract(f"{node.op_type} does not fit its inputs") from error
        for name, value in zip(node.output, values, strict=True):
            self._add_constant(name, numpy_helper.from_array(np.asarray(value)))

    def _alone(self, node: NodeProto) -> onnx.ModelProto:
        inputs = [helper.make_value_info(name, self._types[name]) for name in {*node.input} if name]
        outputs = [helper.make_value_info(name, self._types[name]) for name in node.output]
        graph = helper.make_graph([node], "one", inputs, outputs)
        return helper.make_model(graph, opset_imports=self._imports, ir_version=self._ir)


def _check_node(node: NodeProto) -> None:
    for item in node.attribute:
        if item.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) or item.HasField("g"):
            raise _contract(f"control flow ({node.op_type[:40]}) is not supported")
        if (
            item.graphs
            or item.HasField("sparse_tensor")
            or item.sparse_tensors
            or item.ref_attr_name
        ):
            raise _contract(f"{node.op_type[:40]} has an attribute that is not known")
    known = OPERATORS if node.domain in SERVED_DOMAINS else _FUSED
    if node.op_type not in known:
        raise _contract(f"the operator {node.op_type[:40]!r} is not known")


def _ordered(graph: onnx.GraphProto) -> list[NodeProto]:
    """Return the nodes, makers before users.

    Raises:
        RefusedError: A value is made twice, or needs itself.
    """
    makers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in makers:
                raise _contract("two operators make the same value")
            makers[name] = index
    users: dict[int, list[int]] = {}
    waiting = []
    for index, node in enumerate(graph.node):
        needed = {makers[name] for name in node.input if name in makers}
        waiting.append(len(needed))
        for maker in needed:
            users.setdefault(maker, []).append(index)
    ready = [index for index, count in enumerate(waiting) if not count]
    for index in ready:  # grows while it is walked
        for user in users.get(index, ()):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(ready) < len(waiting):
        raise _contract("a value is made of itself")
    return [graph.node[index] for index in ready]


def _plain(node: NodeProto) -> NodeProto:
    """ONNX Runtime's fused convolution as the convolution that it is."""
    if node.op_type != "FusedConv":
        return node
    attributes = [item for item in node.attribute if not item.name.startswith("activation")]
    plain = helper.make_node("Conv", list(node.input[:3]), list(node.output))
    plain.attribute.extend(attributes)
    return plain


def _constant(node: NodeProto) -> TensorProto:
    """Return the tensor of a `Constant`.

    Raises:
        RefusedError: It has none, or text.
    """
    for item in node.attribute:
        if item.name == "value" and item.HasField("t"):
            return item.t
        if item.name in ("value_int", "value_ints"):
            return numpy_helper.from_array(np.array(helper.get_attribute_value(item), np.int64))
        if item.name in ("value_float", "value_floats"):
            return numpy_helper.from_array(np.array(helper.get_attribute_value(item), np.float32))
    raise _contract("a constant has no numbers")


def _dims(type_: TypeProto) -> tuple[int, ...] | None:
    """Return the shape of a tensor; None where a size is open, or it is no tensor."""
    if not type_.HasField("tensor_type") or not type_.tensor_type.HasField("shape"):
        return None
    dims = type_.tensor_type.shape.dim
    if any(dim.WhichOneof("value") != "dim_value" or dim.dim_value < 0 for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def _contract(reason: str) -> RefusedError:
    return RefusedError("tenant_contract", reason)
