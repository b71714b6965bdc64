"""A canary inference of a network by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gateway.errors import GatewayError
from gateway.triton import Tensor, TritonPort

_BYTES = {"UINT8": 1, "FP16": 2, "FP32": 4, "INT32": 4, "INT64": 8}
SIDE = 64  # for dimensions that the network leaves open


async def probe(triton: TritonPort, model: str, timeout: float) -> None:
    """Run a network once on zeros.

    Raises:
        GatewayError: it fails, or answers what is not finite.
    """
    config = await triton.config(model)
    inputs = {item["name"]: _zeros(config, item) for item in config["input"]}
    outputs = [item["name"] for item in config["output"]]
    reply = await triton.infer(model, inputs, outputs, timeout=timeout)
    if not all(np.isfinite(array).all() for array in reply.values()):
        raise GatewayError("canary is not finite")


def _zeros(config: dict[str, Any], item: dict[str, Any]) -> Tensor:
    kind = item["data_type"].removeprefix("TYPE_")
    sizes = [int(size) for size in item["dims"]]
    if int(config.get("max_batch_size", 0)) > 0:
        sizes.insert(0, 1)
    elif sizes and sizes[0] < 0:
        sizes[0] = 1
    shape = tuple(SIDE if size < 0 else size for size in sizes)
    return Tensor(kind, shape, bytes(_BYTES[kind] * math.prod(shape)))
