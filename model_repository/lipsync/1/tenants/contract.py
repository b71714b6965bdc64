"""Reads a tenant's ONNX file, whoever made it, and checks what it promises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from frames.pixels import AUDIO_SHAPE, IMAGE_CHANNELS, NETWORK_CHANNELS, SIDE
from google.protobuf.message import DecodeError
from lipsync_errors import RefusedError
from onnx import TensorProto, helper

from tenants.blob import file_size

INPUTS = {"input": (NETWORK_CHANNELS, SIDE, SIDE), "audio": AUDIO_SHAPE}
OUTPUTS = {"output": (IMAGE_CHANNELS, SIDE, SIDE)}
MAX_BYTES = 2**30
"""Of a file, and of all its tensors together. The documented network has 49 MB."""
DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})


def read_model(path: Path) -> tuple[onnx.ModelProto, list[Path]]:
    """Return the model with all weights inside, and the files that it was read from.

    Raises:
        RefusedError: tenant_file_missing, tenant_file_invalid or tenant_contract.
    """
    size = file_size(path)
    if not 0 < size <= MAX_BYTES:
        raise RefusedError("tenant_file_invalid", f"{size} bytes, 1 to {MAX_BYTES} allowed")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, OSError):
        raise RefusedError("tenant_file_invalid", "not an ONNX file, or cut off") from None
    files = _external_files(model, path.parent)
    total = sum(_checked_size(tensor) for tensor in _tensors(model.graph))
    if total > MAX_BYTES:
        raise RefusedError("tenant_file_invalid", f"{total} bytes of tensors")
    if files:
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError):
            raise RefusedError("tenant_file_invalid", "external data is cut off") from None
    _check_interface(model)
    return model, [path, *files]


def fix_batch(model: onnx.ModelProto) -> None:
    """Set the batch to one frame, and forget every shape that was derived from another."""
    for value in (*model.graph.input, *model.graph.output):
        shape = {**INPUTS, **OUTPUTS}.get(value.name)
        if shape is not None:
            typed = helper.make_tensor_type_proto(TensorProto.FLOAT, (1, *shape))
            value.type.CopyFrom(typed)
    del model.graph.value_info[:]


def _check_interface(model: onnx.ModelProto) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    for values, wanted, kind in (
        (inputs, INPUTS, "inputs"),
        (model.graph.output, OUTPUTS, "outputs"),
    ):
        names = [value.name for value in values]
        if sorted(names) != sorted(wanted):
            listed = ", ".join(repr(name[:40]) for name in names[:6])
            raise _contract(f"{kind} are {listed}; they must be {', '.join(wanted)}")
        for value in values:
            _check_value(value, wanted[value.name])
    if foreign := {node.domain for node in model.graph.node} - DOMAINS:
        raise _contract(f"operators of the domain {sorted(foreign)[0][:40]!r} are not known")
    if model.functions:
        raise _contract("local functions are not known")


def _check_value(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    tensor = value.type.tensor_type
    wanted = f"{value.name} must be FP32 [1 or dynamic, {', '.join(map(str, shape))}]"
    if tensor.elem_type != TensorProto.FLOAT:
        raise _contract(wanted)
    sizes = [
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else None
        for dim in tensor.shape.dim
    ]
    if len(sizes) != 4 or sizes[0] not in (None, -1, 0, 1):
        raise _contract(f"{wanted}, it is {_words(sizes)}")
    # An output may leave sizes open: the golden frame shows what comes.
    loose = value.name in OUTPUTS
    for have, want in zip(sizes[1:], shape, strict=True):
        if have != want and not (loose and have is None):
            raise _contract(f"{wanted}, it is {_words(sizes)}")


def _words(dims: list[int | None]) -> str:
    return "[" + ", ".join("dynamic" if dim is None else str(dim) for dim in dims) + "]"


def _contract(reason: str) -> RefusedError:
    return RefusedError("tenant_contract", reason)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Every tensor of a graph, those in attributes and subgraphs included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sub in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(sub)


def _checked_size(tensor: TensorProto) -> int:
    """Bytes that a tensor says it has; embedded data must have as many."""
    if any(dim < 0 for dim in tensor.dims):
        raise RefusedError("tenant_file_invalid", "a tensor has a negative size")
    try:
        width = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    except (KeyError, TypeError, ValueError):
        raise RefusedError("tenant_file_invalid", "a tensor has no known type") from None
    size: int = math.prod(tensor.dims) * width
    outside = tensor.data_location == TensorProto.EXTERNAL
    if not outside and tensor.raw_data and len(tensor.raw_data) * 2 < size:  # 4-bit types: half
        raise RefusedError("tenant_file_invalid", "a tensor has less data than its shape says")
    return size


def _external_files(model: onnx.ModelProto, folder: Path) -> list[Path]:
    """Files beside the model that hold some of its weights; any other place is refused."""
    files: dict[Path, None] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name = entries.get("location", "")
        path = folder / name
        if not name or Path(name).name != name or path.is_symlink() or not path.is_file():
            raise RefusedError("tenant_file_invalid", "external data must lie beside the file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise RefusedError("tenant_file_invalid", "external data is too large")
        _check_place(tensor, entries, size)
        files[path] = None
    return list(files)


def _check_place(tensor: TensorProto, entries: dict[str, str], file_bytes: int) -> None:
    """Whether a tensor takes from its file what its shape says, and no more."""
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", file_bytes - offset))
    except ValueError:
        offset = length = -1
    if offset < 0 or not 0 <= length <= file_bytes - offset:
        raise RefusedError("tenant_file_invalid", "external data is cut off")
    if length > _checked_size(tensor):
        raise RefusedError("tenant_file_invalid", "external data is more than its shape says")
