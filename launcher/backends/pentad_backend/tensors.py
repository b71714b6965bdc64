"""Tensor descriptions in the terms of Triton's model configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "TYPE_BOOL": np.bool_,
    "TYPE_UINT8": np.uint8,
    "TYPE_UINT16": np.uint16,
    "TYPE_UINT32": np.uint32,
    "TYPE_UINT64": np.uint64,
    "TYPE_INT8": np.int8,
    "TYPE_INT16": np.int16,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
    "TYPE_STRING": np.object_,
}
"""Data types that the C++ backends take; TYPE_BF16 is not among them."""


class LoadError(ValueError):
    """The model cannot be served as configured; the text says why."""


class RequestError(ValueError):
    """One request cannot be served; the text may go to its sender."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as the graph declares it."""

    data_type: str
    """Name in Triton's configuration, such as TYPE_FP32."""
    shape: tuple[int, ...]
    """Dimensions with the batch dimension, -1 where variable; empty for a scalar."""


def shape_text(shape: Iterable[int]) -> str:
    """Return the shape as Triton's messages print it: `[-1,384]`."""
    return "[" + ",".join(str(size) for size in shape) + "]"


def decode_strings(name: str, array: NDArray[np.object_]) -> NDArray[np.object_]:
    """Turn Triton's bytes into the str objects that engines take.

    Raises:
        RequestError: Not UTF-8.
    """
    try:
        items = [bytes(item).decode("utf-8") for item in array.flat]
    except UnicodeDecodeError:
        raise RequestError(f"input '{name}' holds text that is not UTF-8") from None
    return np.array(items, dtype=object).reshape(array.shape)


def encode_strings(array: NDArray[np.generic]) -> NDArray[np.object_]:
    """Turn an engine's str objects into UTF-8 bytes, which Triton's tensors hold."""
    items = [str(item).encode("utf-8") for item in array.flat]
    return np.array(items, dtype=object).reshape(array.shape)
