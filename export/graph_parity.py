"""Whether a changed graph still answers as the network that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from export.errors import ExportError

TOLERANCE = 1e-3
"""Largest difference of an output. Kernels of fp32 differ by 1e-5, a wrong order of channels or
rows by 0.1 and more."""


def session(model: bytes | str | Path, *, optimised: bool = True) -> Any:
    """Return ONNX Runtime's session of a graph, its bytes or its file, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model: bytes | str, outputs: list[str] | None, feed: dict[str, Any]) -> list[Any]:
    """Run a graph, its bytes or its file's path, in ONNX Runtime without optimisations.

    Raises:
        ExportError: It does not take these inputs.
    """
    try:
        return list(session(model, optimised=False).run(outputs, feed))
    except Exception as error:  # the runtime has many
        shapes = ", ".join(str(list(value.shape)) for value in feed.values())
        raise ExportError(f"the network cannot be run on {shapes}") from error


def input_name(model: bytes) -> str:
    """Name of a graph's only input."""
    return str(onnx.load_model_from_string(model).graph.input[0].name)


def pictures(rows: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """UINT8 [rows, height, width, 3]: noise, ramps, flat black and white, in turn."""
    chance = np.random.default_rng(rows)
    down, across = (np.linspace(0, 255, side) for side in size)
    ramps = np.broadcast_arrays(down[:, None], across[None], down[::-1, None])
    kinds = (
        chance.integers(0, 256, (*size, 3)),
        np.stack(ramps, axis=2),
        np.zeros((*size, 3)),
        np.full((*size, 3), 255),
    )
    chosen = [kinds[row % len(kinds)] for row in range(rows)]
    return np.asarray(np.stack(chosen), dtype=np.uint8)


def difference(expected: npt.NDArray[np.float32], got: npt.NDArray[np.float32]) -> float:
    """Largest difference, as a share of the largest expected number where that is above 1.

    Raises:
        ExportError: The shapes differ.
    """
    if expected.shape != got.shape:
        raise ExportError(f"the exported graph gives {got.shape}, its model {expected.shape}")
    return float(np.abs(expected - got).max() / max(1.0, np.abs(expected).max()))


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the softmax over the last axis."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def judged(worst: float, tolerance: float = TOLERANCE) -> float:
    """Return a difference that is small enough.

    Raises:
        ExportError: It exceeds the tolerance or is not a number.
    """
    if not worst <= tolerance:  # a NaN is refused too
        raise ExportError(f"the exported graph differs from its model by {worst:.2e}")
    return worst
