"""Packaged expression classifier → portable ONNX graph that takes face crops as they are decoded.

The network was made for floats in 0..1 in three channels. Scaling and a share of grey are linear,
so they go into the weights of the first convolution and cost nothing at run time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

from export import pixels
from export.errors import ExportError
from export.face_families import PixelFormat
from export.flush import flush_graph
from export.graph_parity import judged, pictures, session, softmax
from export.parity import FloatArray

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""

TOLERANCE = 1e-4
"""Largest difference of a probability. fp32 kernels of two graphs differ by about 1e-6."""

OUTPUT = "probabilities"
BATCHES = (1, 2, 5)
_AS_THEY_ARE = PixelFormat("rgb", 0.0, 1.0)


def write_classifier(
    source: Path, target: Path, size: int, classes: int, color: float
) -> tuple[float, dict[str, Any]]:
    """Write the graph and compare it with the original.

    Input `image` UINT8 [batch, size, size, 3], RGB; output `probabilities` FP32 [batch, classes].

    Args:
        source: ONNX file with one float input [1, 3, size, size] in 0..1 that only a convolution
            reads, and one output of logits [1, classes].
        target: File to write.
        size: Side of the pictures in pixels.
        classes: Number of expressions.
        color: Share of the colours that is kept: 1 keeps all, 0 makes pictures grey.

    Returns:
        The largest difference of a probability, and what `flush_graph` says.

    Raises:
        ExportError: The file is another network, or the difference exceeds `TOLERANCE`.
    """
    model = pixels.load_graph(source)
    graph = model.graph
    shape = tuple(item.dim_value for item in graph.input[0].type.tensor_type.shape.dim)
    readers = [node for node in graph.node if graph.input[0].name in node.input]
    if shape != (1, 3, size, size) or [node.op_type for node in readers] != ["Conv"]:
        raise ExportError(f"{source.name} does not begin with a convolution of {size} pixels")
    first = next(item for item in graph.initializer if item.name == readers[0].input[1])
    folded = fold_color(numpy_helper.to_array(first), color)
    first.CopyFrom(numpy_helper.from_array(folded, first.name))
    logits = graph.output[0].name
    graph.node.append(helper.make_node("Softmax", [logits], [OUTPUT], axis=1))
    pixels.free_sizes(model, (size, size))
    pixels.accept_pixels(model, _AS_THEY_ARE)
    pixels.finish(model, OUTPUT, OUTPUT, ["batch", classes], target)
    flushed = flush_graph(target, lambda: [{pixels.IMAGE: pictures(4, (size, size))}])
    return _difference(source, target, size, color), flushed


def fold_color(weights: FloatArray, color: float) -> FloatArray:
    """Weights of a convolution on bytes that equal `weights` on partly grey pictures in 0..1.

    Args:
        weights: FP32 [out, 3, height, width].
        color: Share of the colours that is kept.
    """
    luma = np.asarray(LUMA, np.float32)[:, None, None]
    grey = weights.sum(axis=1, keepdims=True) * luma
    return np.asarray((color * weights + (1 - color) * grey) / 255, dtype=np.float32)


def prepared(images: npt.NDArray[np.uint8], color: float) -> FloatArray:
    """Return what the original network takes of UINT8 [n, h, w, 3]: FP32 [n, 3, h, w] in 0..1."""
    colors = images.astype(np.float64) / 255
    grey = colors @ np.asarray(LUMA)
    mixed = color * colors + (1 - color) * grey[..., None]
    return np.ascontiguousarray(mixed.transpose(0, 3, 1, 2), dtype=np.float32)


def _difference(source: Path, target: Path, size: int, color: float) -> float:
    """Run the original picture by picture and the graph in batches."""
    original, graph = session(source), session(target)
    feed = original.get_inputs()[0].name
    worst = 0.0
    for rows in BATCHES:
        images = np.random.default_rng(rows).integers(0, 256, (rows, size, size, 3), np.uint8)
        images[0] = np.linspace(0, 255, size)[:, None, None]  # smooth, as noise is not
        singles = [original.run(None, {feed: row[None]})[0] for row in prepared(images, color)]
        (got,) = graph.run([OUTPUT], {pixels.IMAGE: images})
        worst = max(worst, float(np.abs(softmax(np.concatenate(singles)) - got).max()))
    return judged(worst, TOLERANCE)
