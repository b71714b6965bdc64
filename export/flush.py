"""Frees an exported graph of weights that are too small to matter, and shows that they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import onnx

from export.errors import ExportError
from export.graph_parity import difference, run
from export.progress import Progress
from export.tiny_weights import BOUND, flush_tiny_weights

TOLERANCE = 1e-6
"""Largest change of an output, as a share of the largest number where that is above 1: what
another order of the same sums may change in FP32."""
KEY = "tiny_weights"
"""Of the facts in a declaration."""


def flush_graph(file: Path, feeds: Callable[[], Iterable[dict[str, Any]]]) -> dict[str, Any]:
    """Set the tiny weights of a graph to zero, and compare its outputs before and after.

    Args:
        file: ONNX graph, weights inside or in files beside it; written anew if it has any.
        feeds: Gives inputs by name to compare on; called when there is something to compare.

    Returns:
        `bound`, `zeroed` and `denormal` of them (export.tiny_weights), and `max_difference` of the
        outputs.

    Raises:
        ExportError: An output changes by more than `TOLERANCE`.
    """
    model = onnx.load(str(file), load_external_data=False)
    beside = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    onnx.load_external_data_for_model(model, str(file.parent))
    counted = flush_tiny_weights(model)
    worst = 0.0
    if counted.zeroed:
        inputs = list(feeds())
        before = [run(str(file), None, feed) for feed in inputs]
        for name in beside:
            (file.parent / name).unlink()
        onnx.save(
            model,
            str(file),
            save_as_external_data=bool(beside),
            location=f"{file.name}.data",
        )
        for feed, outputs in zip(inputs, before, strict=True):
            for expected, output in zip(outputs, run(str(file), None, feed), strict=True):
                worst = max(worst, difference(expected, output))
    if not worst <= TOLERANCE:  # a NaN is refused too
        raise ExportError(f"without its smallest weights the graph's outputs change by {worst:.2e}")
    return {
        "bound": BOUND,
        "zeroed": counted.zeroed,
        "denormal": counted.denormal,
        "max_difference": worst,
    }


def tell(progress: Progress, model: str, flushed: dict[str, Any]) -> None:
    """Say how many weights of a model were set to zero, if any were."""
    if flushed["zeroed"]:
        progress.note(
            f"{model}: {flushed['zeroed']:,} weights below {flushed['bound']:.0e} set to zero, "
            f"{flushed['denormal']:,} of them denormal"
        )
