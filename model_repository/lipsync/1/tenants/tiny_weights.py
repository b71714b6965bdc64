"""Sets weights of an ONNX graph that are too small to matter to zero.

Numbers below the smallest normal one, denormals, cost an Intel core some 150 cycles in place of
one. Training leaves thousands of them in channels that it gave up, and the products of numbers
somewhat larger are denormals too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

BOUND = 2.0**-63
"""About 1.1e-19, the square root of FP32's smallest normal number: a product of two numbers that
are not below it is never denormal."""
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
"""Of FP32 and bfloat16. The denormals of FP16 lie above 5.9e-8, are normal in the FP32 that CPUs
compute them in, and matter."""
FLOATS = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
)


@dataclass(frozen=True)
class TinyWeights:
    """What was set to zero.

    Attributes:
        zeroed: Weights below `BOUND` that were not zero.
        denormal: Those of them below `SMALLEST_NORMAL`.
    """

    zeroed: int = 0
    denormal: int = 0

    def __add__(self, other: TinyWeights) -> TinyWeights:
        return TinyWeights(self.zeroed + other.zeroed, self.denormal + other.denormal)


def flush_tiny_weights(model: ModelProto) -> TinyWeights:
    """Set every weight below `BOUND` to zero, in place, and count them.

    Weights are the numbers of all floating-point tensors of more than one number: initialisers,
    sparse ones, constants and attributes of nodes, in inner graphs and local functions, too. A
    single number is often what keeps a division from zero, and costs nothing: it stays.

    Args:
        model: A graph with its data inside, not in files beside it.
    """
    counted = _flush_graph(model.graph)
    for function in model.functions:
        counted += _flush_nodes(function.node)
    return counted


def _flush_graph(graph: GraphProto) -> TinyWeights:
    counted = _flush_nodes(graph.node)
    for tensor in graph.initializer:
        counted += _flush_tensor(tensor)
    for sparse in graph.sparse_initializer:
        counted += _flush_tensor(sparse.values)
    return counted


def _flush_nodes(nodes: Iterable[NodeProto]) -> TinyWeights:
    counted = TinyWeights()
    for node in nodes:
        for attribute in node.attribute:
            for tensor in _tensors(attribute):
                counted += _flush_tensor(tensor)
            if len(attribute.floats) > 1:
                values, count = _flushed(np.array(attribute.floats, np.float32))
                attribute.floats[:] = values.tolist()
                counted += count
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                counted += _flush_graph(inner)
    return counted


def _tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    if attribute.HasField("sparse_tensor"):
        yield attribute.sparse_tensor.values
    for sparse in attribute.sparse_tensors:
        yield sparse.values


def _flush_tensor(tensor: TensorProto) -> TinyWeights:
    if tensor.data_type not in FLOATS:
        return TinyWeights()
    weights = numpy_helper.to_array(tensor)
    if weights.size < 2:
        return TinyWeights()
    values, counted = _flushed(weights)
    if counted.zeroed:
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return counted


def _flushed(weights: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], TinyWeights]:
    """Return the weights without tiny ones.

    They are looked for by their bits, which are in the order of the sizes: a thread that takes
    denormals for zero would not see them otherwise.
    """
    unsigned = np.dtype(f"u{weights.dtype.itemsize}")
    sizes = weights.view(unsigned) & unsigned.type(np.iinfo(unsigned).max >> 1)
    bound, smallest_normal = np.array([BOUND, SMALLEST_NORMAL]).astype(weights.dtype).view(unsigned)
    tiny = (sizes > 0) & (sizes < bound)
    zeroed = int(tiny.sum())
    if not zeroed:
        return weights, TinyWeights()
    values = weights.copy()
    values[tiny] = 0
    return values, TinyWeights(zeroed, int((sizes[tiny] < smallest_normal).sum()))
