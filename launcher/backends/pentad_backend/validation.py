"""Compares configuration and graph by the rules of NVIDIA's C++ onnxruntime backend.

The rules and the wording of the messages follow ValidateInputs, ValidateOutputs and
CompareDimsSupported of triton-inference-server/onnxruntime_backend (src/onnxruntime.cc and
src/onnxruntime_utils.cc).
"""

from __future__ import annotations

from collections.abc import Mapping

from .configuration import Config, dims, max_batch_size
from .tensors import NUMPY_TYPES, LoadError, TensorInfo, shape_text

Tensors = Mapping[str, TensorInfo]


def check_inputs(config: Config, inputs: Tensors, overridable: Tensors) -> None:
    """Check the configured inputs.

    Args:
        config: Model configuration.
        inputs: Inputs of the graph.
        overridable: Initializers of the graph that a request may replace (optional inputs).

    Raises:
        LoadError: Configuration and graph differ.
    """
    name = config.get("name", "")
    configured = config.get("input") or []
    expected = sum(not io.get("optional") for io in configured)
    if len(inputs) != expected:
        raise LoadError(
            f"unable to load model '{name}', configuration expects {expected} inputs, "
            f"model provides {len(inputs)}"
        )
    known = {**inputs, **overridable}
    for io in configured:
        if io.get("optional") and max_batch_size(config):
            raise LoadError(
                f"unable to load model '{name}', optional input '{io['name']}' is not supported "
                "for models that support batching"
            )
        _check(config, io, known, kind="input", exact=False)


def check_outputs(config: Config, outputs: Tensors) -> None:
    """Check the configured outputs, which may be some of those of the graph.

    Raises:
        LoadError: Configuration and graph differ.
    """
    for io in config.get("output") or []:
        _check(config, io, outputs, kind="output", exact=True)


def _check(config: Config, io: Config, known: Tensors, *, kind: str, exact: bool) -> None:
    model, name, data_type = config.get("name", ""), io["name"], io["data_type"]
    info = known.get(name)
    if info is None:
        allowed = ", ".join(sorted(known))
        raise LoadError(f"unexpected inference {kind} '{name}', allowed {kind}s are: {allowed}")
    if data_type not in NUMPY_TYPES:
        raise LoadError(f"unsupported datatype {data_type} for {kind} '{name}' for model '{model}'")
    if data_type != info.data_type:
        raise LoadError(
            f"unable to load model '{model}', configuration expects datatype {data_type} for "
            f"{kind} '{name}', model provides {info.data_type}"
        )
    if info.shape:
        _compare(config, name, info.shape, dims(io), exact=exact)
    elif max_batch_size(config) or any(size != 1 for size in dims(io)):
        raise LoadError(
            f"unable to load model '{model}', scalar tensor '{name}', should only provide 1 in "
            "the model configuration when the model doesn't support batching. Model "
            f"configuration provided: {shape_text(dims(io))}."
        )


def _compare(
    config: Config, name: str, shape: tuple[int, ...], configured: list[int], *, exact: bool
) -> None:
    model = config.get("name", "")
    full = configured
    if max_batch_size(config):
        if shape[0] != -1:
            raise LoadError(
                f"model '{model}', tensor '{name}': for the model to support batching the shape "
                "should have at least 1 dimension and the first dimension must be -1; but shape "
                f"expected by the model is {shape_text(shape)}"
            )
        full = [-1, *configured]
    same = len(shape) == len(full) and all(
        have == want or (have == -1 and not exact) for have, want in zip(shape, full, strict=True)
    )
    if not same:
        raise LoadError(
            f"model '{model}', tensor '{name}': the model expects {len(shape)} dimensions (shape "
            f"{shape_text(shape)}) but the model configuration specifies {len(full)} dimensions "
            f"(shape {shape_text(full)}"
            + (
                ", the first being the batch because max_batch_size > 0)"
                if full is not configured
                else ")"
            )
        )
