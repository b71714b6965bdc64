"""The graphs of `face_detector` and `face_embedder`: pictures in, predictions or embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

from export.errors import ExportError
from export.face_families import CROP, DIMENSIONS, FAMILIES, Family, PixelFormat
from export.flush import flush_graph
from export.graph_parity import difference, input_name, judged, pictures, run
from export.pixels import (
    IMAGE,
    accept_pixels,
    constant,
    finish,
    free_sizes,
    load_graph,
    split_prelu,
)

PREDICTIONS = "predictions"
"""Output: FP32 [batch, places, 15]."""


_SIZES = ((32, 32), (320, 256), (160, 224))
"""Of the pictures that a graph is compared on."""
EMBEDDING = "embedding"
"""Output: FP32 [batch, dimensions]."""


def write_detector(source: Path, decoder: str, target: Path) -> tuple[float, dict[str, Any]]:
    """Write a detector with UINT8 pictures in and one tensor of predictions out.

    Returns:
        The largest difference to the original's outputs, and what `flush_graph` says.

    Raises:
        ExportError: It is no such detector, or the graph differs from it.
    """
    family = FAMILIES[decoder]
    model, original = load_graph(source), load_graph(source)
    heads = [output.name for output in model.graph.output]
    free_sizes(original, ("height", "width"))
    free_sizes(model, ("height", "width"))
    accept_pixels(model, family.form)
    joined = _join_grid(model, heads) if decoder == "centerface" else _join_anchors(model, heads)
    shape: list[str | int] = ["batch", "places", 15]
    finish(model, PREDICTIONS, joined, shape, target)
    flushed = flush_graph(target, lambda: ({IMAGE: pictures(2, size)} for size in _SIZES))
    return _compare_detector(original.SerializeToString(), target, family, heads), flushed


def _join_grid(model: Any, heads: list[str]) -> str:
    """Four maps [n, channels, rows, columns] to [n, rows x columns, 15]."""
    if len(heads) != 4:
        raise ExportError(f"a CenterFace network has 4 outputs, this one {len(heads)}")
    graph = model.graph
    shape = constant(graph, "heads/shape", np.array([0, -1, 15], np.int64))
    graph.node.extend(
        [
            helper.make_node("Concat", heads, ["heads/maps"], axis=1),
            helper.make_node("Transpose", ["heads/maps"], ["heads/last"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", ["heads/last", shape], ["heads/joined"]),
        ]
    )
    return "heads/joined"


def _join_anchors(model: Any, heads: list[str]) -> str:
    """Scores, distances and key points of three strides to [n, all anchors, 15].

    InsightFace's networks number their rows by place, picture, anchor (they transpose to
    [rows, columns, n, channels] first), so a batch is mixed up in them; here it is sorted out.
    """
    family = FAMILIES["scrfd"]
    count = len(family.strides)
    if len(heads) != 3 * count:
        raise ExportError(
            f"an SCRFD network with key points has {3 * count} outputs, this one {len(heads)}"
        )
    graph = model.graph
    one = constant(graph, "heads/one", np.array([0], np.int64))
    graph.node.append(helper.make_node("Shape", [IMAGE], ["heads/sizes"]))
    graph.node.append(helper.make_node("Gather", ["heads/sizes", one], ["heads/batch"], axis=0))
    grids = []
    for number, stride in enumerate(family.strides):
        parts = []
        for width, head in zip(family.parts, heads[number::count], strict=True):
            parts.append(_by_picture(graph, head, width, family.anchors))
        grids.append(f"heads/stride{stride}")
        graph.node.append(helper.make_node("Concat", parts, [grids[-1]], axis=2))
    graph.node.append(helper.make_node("Concat", grids, ["heads/joined"], axis=1))
    return "heads/joined"


def _by_picture(graph: Any, head: str, width: int, anchors: int) -> str:
    """[places x n x anchors, width] to [n, places x anchors, width]."""
    first = constant(graph, f"{head}/first", np.array([-1], np.int64))
    last = constant(graph, f"{head}/last", np.array([anchors * width], np.int64))
    flat = constant(graph, f"{head}/flat", np.array([0, -1, width], np.int64))
    graph.node.extend(
        [
            helper.make_node("Concat", [first, "heads/batch", last], [f"{head}/shape"], axis=0),
            helper.make_node("Reshape", [head, f"{head}/shape"], [f"{head}/places"]),
            helper.make_node("Transpose", [f"{head}/places"], [f"{head}/rows"], perm=[1, 0, 2]),
            helper.make_node("Reshape", [f"{head}/rows", flat], [f"{head}/joined"]),
        ]
    )
    return f"{head}/joined"


def _compare_detector(original: bytes, graph: Path, family: Family, heads: list[str]) -> float:
    """Pictures in batches through the graph against one by one through the original."""
    worst, name = 0.0, input_name(original)
    for rows, size in zip((2, 1, 3), _SIZES, strict=True):
        images = pictures(rows, size)
        outputs = [run(original, heads, {name: family.form(image[None])}) for image in images]
        expected = np.stack([_rows(output, family) for output in outputs])
        got = run(graph.read_bytes(), None, {IMAGE: images})[0]
        worst = max(worst, difference(expected, got))
    return judged(worst)


def _rows(outputs: Sequence[npt.NDArray[np.float32]], family: Family) -> npt.NDArray[np.float32]:
    """Return outputs of one picture as [places, 15]."""
    if len(family.strides) == 1:
        maps = [output[0].reshape(output.shape[1], -1) for output in outputs]
        return np.asarray(np.concatenate(maps).T)
    count = len(family.strides)
    parts = [
        [output.reshape(-1, width) for output, width in zip(group, family.parts, strict=True)]
        for group in (outputs[number::count] for number in range(count))
    ]
    return np.asarray(np.concatenate([np.hstack(group) for group in parts]))


def write_embedder(source: Path, form: PixelFormat, target: Path) -> tuple[float, dict[str, Any]]:
    """Write an embedder with UINT8 crops in and embeddings, not normalised, out.

    Returns:
        The largest difference to the original's output, and what `flush_graph` says.

    Raises:
        ExportError: It is no such network, or the graph differs from it.
    """
    model, original = load_graph(source), load_graph(source)
    output = original.graph.output[0].name
    free_sizes(original, (CROP, CROP))
    network = original.SerializeToString()
    name = input_name(network)
    (vector,) = run(network, [output], {name: form(pictures(1, (CROP, CROP)))})
    if vector.shape != (1, DIMENSIONS):
        raise ExportError(f"{source.name} gives {list(vector.shape)}, not {DIMENSIONS} numbers")
    free_sizes(model, (CROP, CROP))
    _free_batch(model)
    split_prelu(model)
    accept_pixels(model, form)
    finish(model, EMBEDDING, output, ["batch", DIMENSIONS], target)
    flushed = flush_graph(target, lambda: [{IMAGE: pictures(4, (CROP, CROP))}])
    worst = 0.0
    for rows in (1, 2, 5):
        images = pictures(rows, (CROP, CROP))
        outputs = [run(network, [output], {name: form(image[None])})[0] for image in images]
        expected = np.concatenate(outputs)
        got = run(target.read_bytes(), None, {IMAGE: images})[0]
        worst = max(worst, difference(expected, got))
    return judged(worst), flushed


def _free_batch(model: Any) -> None:
    """Lets the flattening before the output keep its batch instead of the exported one."""
    targets = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in targets and (shape := numpy_helper.to_array(tensor)).tolist() == [1, -1]:
            whole = np.array([0, -1], shape.dtype)
            tensor.CopyFrom(numpy_helper.from_array(whole, tensor.name))
