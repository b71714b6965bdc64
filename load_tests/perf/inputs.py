"""perf_analyzer's input data for a model, as its configuration wants it."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from load_tests import pictures

INPUTS = Path(__file__).with_name("inputs")
PICTURES = 64
Row = Mapping[str, Mapping[str, Any]]


def batches_rows(url: str, model: str) -> bool:
    """Return whether the model's configuration has a batch dimension (max_batch_size > 0).

    Raises:
        grpc.RpcError: Triton at ``url`` (host:port) does not know the model.
    """
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        reply = stub.ModelConfig(service_pb2.ModelConfigRequest(name=model), timeout=30)
    return bool(reply.config.max_batch_size > 0)


def stack(rows: Sequence[Row], size: int) -> list[dict[str, dict[str, list[object]]]]:
    """Join every ``size`` rows of equal shapes into one with a leading batch dimension."""
    stacked = []
    for start in range(0, len(rows) - size + 1, size):
        part = rows[start : start + size]
        joined: dict[str, dict[str, list[object]]] = {}
        for name, first in part[0].items():
            content: list[object] = [value for row in part for value in row[name]["content"]]
            joined[name] = {"content": content, "shape": [size, *first["shape"]]}
        stacked.append(joined)
    return stacked


def write_inputs(model: str, size: int, folder: Path) -> Path:
    """Write the model's inputs into ``folder`` and return the file.

    Args:
        model: One whose inputs are committed, or that takes pictures.
        size: Rows to join in each request; 0 leaves them single.
        folder: Where to.
    """
    make = _MADE.get(model)
    rows = make() if make else json.loads((INPUTS / f"{model}.json").read_text())["data"]
    path = folder / f"{model}.json"
    path.write_text(json.dumps({"data": stack(rows, size) if size else rows}))
    return path


def _files() -> list[Row]:
    return [
        # base64 stands for the tensor's own bytes: of a BYTES element its length, then its content.
        {"IMAGE": {"b64": base64.b64encode(struct.pack("<I", len(file)) + file).decode()}}
        for file in pictures.jpegs(PICTURES)
    ]


def _pixels() -> list[Row]:
    # A network takes the same time for any pixels; a small range keeps the file small.
    noise = np.random.default_rng(0).integers(0, 10, (8, 224, 224, 3))
    return [
        {"image": {"content": image.reshape(-1).tolist(), "shape": list(image.shape)}}
        for image in noise
    ]


_MADE: dict[str, Callable[[], list[Row]]] = {
    "image_classification": _files,
    "image_classifier": _pixels,
}
