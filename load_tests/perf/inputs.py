"""perf_analyzer's input data for a model, as its configuration wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

INPUTS = Path(__file__).with_name("inputs")
Row = Mapping[str, Mapping[str, list[int] | list[str]]]


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


def write_stacked(model: str, size: int, folder: Path) -> Path:
    """Write the model's committed inputs, stacked, into ``folder`` and return the file."""
    rows = json.loads((INPUTS / f"{model}.json").read_text())["data"]
    path = folder / f"{model}.json"
    path.write_text(json.dumps({"data": stack(rows, size)}))
    return path
