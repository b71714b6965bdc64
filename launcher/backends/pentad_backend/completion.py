"""Completes a model configuration from the graph, as NVIDIA's C++ onnxruntime backend does.

The rules follow AutoCompleteConfig, AutoCompleteMaxBatch and AutoCompleteIO of
triton-inference-server/onnxruntime_backend (src/onnxruntime.cc).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .tensors import NUMPY_TYPES, LoadError, TensorInfo

DEFAULT_MAX_BATCH_SIZE = 4
"""Triton's default of the backend setting `default-max-batch-size`."""

Tensors = Mapping[str, TensorInfo]


def needed(config: Mapping[str, Any]) -> bool:
    """Whether inputs or outputs are missing; a configuration with both is left alone."""
    return not ((config.get("input") or config.get("batch_input")) and config.get("output"))


def complete(
    config: dict[str, Any], inputs: Tensors, outputs: Tensors, *, infer_batching: bool = True
) -> None:
    """Fill `max_batch_size`, `dynamic_batching`, `input` and `output` in place.

    Args:
        config: Model configuration.
        inputs: Inputs of the graph.
        outputs: Outputs of the graph.
        infer_batching: Whether a variable first dimension everywhere means batching.

    Raises:
        LoadError: `max_batch_size` is set but the graph has a fixed batch, or a tensor has a
            data type that Triton does not know.
    """
    shapes = [info.shape for info in (*inputs.values(), *outputs.values())]
    batching = infer_batching and all(shape and shape[0] == -1 for shape in shapes)
    if infer_batching and not batching and config.get("max_batch_size"):
        raise LoadError(
            f"autofill failed for model '{config.get('name', '')}': model does not support "
            "batching while non-zero max_batch_size is specified"
        )
    if batching:
        config["max_batch_size"] = config.get("max_batch_size") or DEFAULT_MAX_BATCH_SIZE
        schedulers = ("sequence_batching", "dynamic_batching")
        if config["max_batch_size"] > 1 and not any(name in config for name in schedulers):
            config["dynamic_batching"] = {}
    for key, tensors in (("input", inputs), ("output", outputs)):
        if not config.get(key):
            config[key] = [
                _describe(name, info, batched=bool(config.get("max_batch_size")))
                for name, info in sorted(tensors.items())
            ]


def _describe(name: str, info: TensorInfo, *, batched: bool) -> dict[str, Any]:
    if info.data_type not in NUMPY_TYPES:
        raise LoadError(f"unsupported datatype {info.data_type} for '{name}'")
    dims = list(info.shape[1:] if batched else info.shape)
    described: dict[str, Any] = {"name": name, "data_type": info.data_type, "dims": dims or [1]}
    if not dims and batched:
        described["reshape"] = {"shape": []}
    return described
