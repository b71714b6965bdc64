"""The graph of `face_embedder`: aligned faces in, embeddings out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import numpy_helper

from export.errors import ExportError
from export.face_families import CROP, DIMENSIONS, PixelFormat
from export.flush import flush_graph
from export.graph_parity import difference, input_name, judged, pictures, run
from export.pixels import (
    IMAGE,
    accept_pixels,
    finish,
    free_sizes,
    load_graph,
    split_prelu,
)

EMBEDDING = "embedding"
"""Output: FP32 [batch, dimensions]."""


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
