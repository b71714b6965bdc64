"""A stand-in for Triton at the gateway's edge: counts and times calls, computes toy answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.errors import GatewayError
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import Array, Tensor, to_array

ENCODER_CONFIG = {
    "backend": "onnxruntime",
    "instance_group": [{"kind": "KIND_CPU", "count": 2}],
}


@dataclass
class FakeTriton:
    """Implements TritonPort. An embedding is (length of the text, first code point)."""

    delay: float = 0.0
    failures: list[GatewayError] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    unloadable: set[str] = field(default_factory=set)
    calls: list[tuple[str, int]] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    unloads: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    cancelled: int = 0
    is_live: bool = True

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Array]:
        columns = {n: self._items(tensor) for n, tensor in inputs.items()}
        rows = len(next(iter(columns.values())))
        canary = "MODEL_INFO" in outputs
        if not canary:
            self.calls.append((model, rows))
        if self.failures:
            raise self.failures.pop(0)
        try:
            await asyncio.sleep(0 if canary else self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        texts = {name: [item.decode() for item in items] for name, items in columns.items()
                 if name != "IMAGE"}  # fmt: skip
        if model == "text_embedding":
            found = self._embed(texts["TEXT"])
        elif model == "image_classification":
            found = self._classify(columns["IMAGE"][0])
        else:
            found = self._score(texts["CANDIDATE"], texts["REFERENCE"])
        info = json.dumps({"model": "all-MiniLM-L6-v2", "dimensions": 2}).encode()
        found["MODEL_INFO"] = np.array([[info]] * rows, dtype=object)
        return {name: found[name] for name in outputs}

    @staticmethod
    def _items(tensor: Tensor) -> list[bytes]:
        return list(to_array(tensor.datatype, tensor.shape, tensor.data)[:, 0])

    @staticmethod
    def _classify(image: bytes) -> dict[str, Array]:
        """Refuse what begins with the code of a refusal, else answer five fixed labels."""
        if image.startswith(b"image_"):
            raise RefusedInputError(image.decode())
        labels = [b"tench", b"goldfish", b"great white shark", b"tiger shark", b"hammerhead"]
        return {
            "LABEL": np.array([labels], object),
            "CONFIDENCE": np.array([[0.5, 0.25, 0.125, 0.0625, 0.03125]], np.float32),
            "BATCH_SIZE": np.array([[3]], np.int32),
            "TIMING_MS": np.array([[1.5, 2.5]], np.float32),
        }

    @staticmethod
    def _embed(texts: list[str]) -> dict[str, Array]:
        rows = [(len(text), ord(text[0]) if text else 0) for text in texts]
        return {
            "EMBEDDING": np.array(rows, np.float32),
            "TOKEN_COUNT": np.array([[len(text.split()) + 2] for text in texts], np.int32),
        }

    @staticmethod
    def _score(candidates: list[str], references: list[str]) -> dict[str, Array]:
        same = np.array([[c == r] for c, r in zip(candidates, references, strict=True)], np.float32)
        return {
            "PRECISION": same * np.float32(0.9),
            "RECALL": same * np.float32(0.8),
            "F1": same * np.float32(0.85),
        }

    def abort(self, model: str) -> None:
        self.aborted.append(model)

    async def live(self) -> bool:
        return self.is_live

    async def ready_models(self) -> set[str]:
        return set(self.loaded)

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        self.loads.append(model)
        if model in self.unloadable:
            raise GatewayError("no such file")
        self.loaded.add(model)

    async def unload(self, model: str) -> None:
        self.unloads.append(model)
        self.loaded.discard(model)

    async def config(self, model: str) -> dict[str, Any]:
        return dict(ENCODER_CONFIG)

    async def statistics(self) -> list[dict[str, Any]]:
        return [{"name": "text_embedding", "inference_stats": {"success": {"count": "3"}}}]

    async def server_version(self) -> str:
        return "2.51.0"

    async def close(self) -> None:
        return None
