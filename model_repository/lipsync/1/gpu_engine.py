"""Frames on a GPU: weights of many tenants in its memory, a few slots that compute any of them."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from frame_pixels import Mask
from gpu_slots import BATCHES, Slot, to_channels_last
from lipsync_errors import UnsuitableTenantError
from onnx_torch import TorchGraph, UnknownOperatorError
from process_memory import machine_memory, processor, resident_bytes
from tenant_blob import OpenBlob, Placed
from tenant_layout import HALF
from weight_tiers import TieredWeights, WeightTiers

SHARE_OF_FREE_MEMORY = 0.7
"""For weights, when no budget is given; the rest is for activations (about 2 GB for each slot's
batch of 25) and for other models."""


class _Graph:
    """What all tenants of one graph share: the calls, and a slot for each worker."""

    def __init__(self, blob: OpenBlob) -> None:
        self.calls = TorchGraph(blob.skeleton)
        self.placed: list[Placed] = blob.manifest.weights
        self.numbers = blob.manifest.blob_bytes // 2
        self.slots: dict[int, Slot] = {}


@dataclass(frozen=True, eq=False)
class GpuWeights:
    """One tenant.

    Attributes:
        graph: What computes it.
        tiered: Where its weights lie.
        memory_bytes: Of the device that they take when they are there.
    """

    graph: _Graph
    tiered: TieredWeights
    memory_bytes: int


class GpuEngine:
    """Computes frames on one CUDA device; on `cpu` the same without CUDA, for tests."""

    layout = HALF
    most_frames = BATCHES[-1]
    """Frames of one step."""

    def __init__(
        self, device: str, workers: int, mask: Mask, budget: int = 0, index: int = 0
    ) -> None:
        """Prepares an engine.

        Args:
            device: torch's name, such as "cuda:0".
            workers: Threads that will call `run`, each with slots of its own.
            mask: Of frames with three channels.
            budget: Bytes of the device for weights; 0 is a share of what is free now.
            index: Number of the device in reports.
        """
        self._device = torch.device(device)
        self.workers = workers
        self._mask = mask
        self._index = index
        self._lock = threading.Lock()
        self._graphs: weakref.WeakValueDictionary[str, _Graph] = weakref.WeakValueDictionary()
        how = "cuda graphs fp16" if self._device.type == "cuda" else "cpu fp32 of fp16 weights"
        self.name = f"torch {torch.__version__} {how}"
        self.tiers = WeightTiers(self._device, budget or self._share())

    def load(self, blob: OpenBlob) -> GpuWeights:
        """Puts a tenant on the device.

        Raises:
            UnsuitableTenantError: torch does not run its graph here.
            TenantMemoryError: There is no room.
        """
        digest = blob.manifest.skeleton_sha256
        with self._lock:
            graph = self._graphs.get(digest)
            if graph is None:
                try:
                    graph = _Graph(blob)
                except UnknownOperatorError as error:
                    raise UnsuitableTenantError(str(error)) from None
                self._graphs[digest] = graph
        placed = blob.manifest.weights
        tiered = self.tiers.add(lambda: to_channels_last(blob.flat(), placed))
        return GpuWeights(graph, tiered, tiered.memory_bytes)

    def free(self, weights: GpuWeights) -> None:
        """Frees a tenant's memory."""
        for slot in tuple(weights.graph.slots.values()):
            slot.forget(weights.tiered)
        self.tiers.remove(weights.tiered)

    def run(
        self,
        worker: int,
        weights: GpuWeights,
        frames: np.ndarray,
        audio: np.ndarray,
        mouths: np.ndarray,
    ) -> None:
        """Computes up to 25 frames of one tenant.

        Args:
            worker: Number of the calling thread.
            weights: Of the tenant.
            frames: [n, 6 or 3, 320, 320], FP32, FP16 or UINT8.
            audio: FP32 [1 or n, 32, 16, 16].
            mouths: Receives FP32, FP16 or UINT8 [n, 3, 320, 320].
        """
        graph = weights.graph
        slot = graph.slots.get(worker)
        if slot is None:
            slot = Slot(
                graph.calls, graph.placed, graph.numbers, self.tiers, self._device, self._mask
            )
            graph.slots[worker] = slot
        slot.run(weights.tiered, frames, audio, mouths)

    def device(self) -> dict[str, Any]:
        """What it runs on, with memory in bytes of the whole device."""
        found = {"kind": self._device.type, "index": self._index}
        if self._device.type != "cuda":
            return {
                **found,
                "name": processor(),
                "memory_total_bytes": machine_memory(),
                "memory_used_bytes": resident_bytes(),
            }
        free, total = torch.cuda.mem_get_info(self._device)
        return {
            **found,
            "name": torch.cuda.get_device_name(self._device),
            "memory_total_bytes": total,
            "memory_used_bytes": total - free,
        }

    def close(self) -> None:
        """Waits for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _share(self) -> int:
        if self._device.type != "cuda":
            return machine_memory()
        free, _ = torch.cuda.mem_get_info(self._device)
        return int(free * SHARE_OF_FREE_MEMORY)
