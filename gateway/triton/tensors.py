"""Between Python values and Triton's binary tensors."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip
_LENGTH = struct.Struct("<I")


class Tensor(NamedTuple):
    """A tensor as it travels: Triton's dtype name, shape, little-endian row-major bytes."""

    datatype: str
    shape: tuple[int, ...]
    data: bytes


class RegionSpan(NamedTuple):
    """Bytes in a shared memory region that Triton knows under the name ``region``."""

    region: str
    offset: int
    size: int


class PlacedTensor(NamedTuple):
    """A tensor whose bytes lie in shared memory."""

    datatype: str
    shape: tuple[int, ...]
    place: RegionSpan


def text_tensor(texts: Sequence[str]) -> Tensor:
    """Return a BYTES tensor of shape [n, 1]: each text as UTF-8."""
    return bytes_tensor([text.encode() for text in texts])


def bytes_tensor(items: Sequence[bytes], *, rows: bool = True) -> Tensor:
    """Return a BYTES tensor: each item behind its 4-byte length.

    Args:
        items: n of them.
        rows: shape [n, 1], a batch of n; else [n], one input of a model without a batch.
    """
    pack = _LENGTH.pack
    parts: list[bytes] = []
    for item in items:
        parts.append(pack(len(item)))
        parts.append(item)
    return Tensor("BYTES", (len(items), 1) if rows else (len(items),), b"".join(parts))


def to_array(datatype: str, shape: Sequence[int], data: bytes) -> Array:
    """Return a read-only array over ``data``; BYTES become an object array of ``bytes``.

    Raises:
        ValueError: a dtype that NumPy has no name for, or data that does not fit the shape.
    """
    if datatype == "BYTES":
        return np.array(_split(data), dtype=object).reshape(shape)
    if datatype not in _NUMPY:
        raise ValueError(f"dtype {datatype} is not supported")
    return np.frombuffer(data, dtype=_NUMPY[datatype]).reshape(shape)


def _split(data: bytes) -> list[bytes]:
    items, at = [], 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        items.append(data[at : at + length])
        at += length
    return items
