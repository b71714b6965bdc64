"""A slot: the place on a device where one worker computes whichever tenant comes.

Everything in it has a fixed address, so that a captured CUDA graph can be replayed for any tenant
after one flat copy of its weights. On a CPU device the graph is run as it is: the same code, for
tests.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from frame_pixels import AUDIO_SHAPE, IMAGE_CHANNELS, NETWORK_CHANNELS, SIDE, Mask
from onnx_torch import TorchGraph
from tenant_blob import Placed
from weight_tiers import TieredWeights, WeightTiers

BATCHES = (1, 4, 8, 25)
"""Sizes that graphs are captured for; a step runs in the smallest that holds it."""
_CAPTURE = threading.Lock()
"""One capture at a time: other threads' allocations would end up in it."""


def batch_for(count: int) -> int:
    """The captured size that `count` frames run in.

    Raises:
        ValueError: More than the largest.
    """
    for size in BATCHES:
        if count <= size:
            return size
    raise ValueError(f"{count} frames in one step")


def weight_views(flat: torch.Tensor, placed: list[Placed]) -> dict[str, torch.Tensor]:
    """The weights in a flat buffer, by name; convolutions' in channels-last order.

    Only dense kernels larger than 1x1 differ from ONNX's order, see `to_channels_last`.
    """
    itemsize = 2  # of the blob; offsets in bytes of it
    views = {}
    for weight in placed:
        first, count = weight.offset // itemsize, math.prod(weight.shape)
        part = flat[first : first + count]
        if len(weight.shape) == 4:
            out, into, height, width = weight.shape
            views[weight.name] = part.view(out, height, width, into).permute(0, 3, 1, 2)
        else:
            views[weight.name] = part.view(weight.shape)
    return views


def to_channels_last(flat: np.ndarray, placed: list[Placed]) -> torch.Tensor:
    """A blob's FP16 weights with every convolution's inputs last, as GPU kernels want them."""
    source = torch.from_numpy(np.array(flat))  # a copy: the blob itself is read-only
    for weight in placed:
        if len(weight.shape) == 4 and weight.shape[1] > 1 and weight.shape[2:] != (1, 1):
            first, count = weight.offset // 2, math.prod(weight.shape)
            part = source[first : first + count]
            part.copy_(part.view(weight.shape).permute(0, 2, 3, 1).reshape(-1))
    return source


class Slot:
    """Fixed buffers and captured graphs of one worker for one graph."""

    def __init__(
        self,
        graph: TorchGraph,
        placed: list[Placed],
        numbers: int,
        tiers: WeightTiers,
        device: torch.device,
        mask: Mask,
    ) -> None:
        """Allocates the weights' place; `numbers` are in the flat buffer of a tenant."""
        self._graph = graph
        self._tiers = tiers
        self._device = device
        self._mask = mask
        # Half precision is slow or missing on CPUs.
        self._type = torch.float16 if device.type == "cuda" else torch.float32
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._flat = torch.zeros(numbers, dtype=self._type, device=device)
        self._weights = weight_views(self._flat, placed)
        self._holds: TieredWeights | None = None
        self._batches: dict[int, _Batch] = {}
        self._pool: Any = None
        self.switches = 0
        """How often other weights had to be copied in."""

    def run(
        self, weights: TieredWeights, frames: np.ndarray, audio: np.ndarray, mouths: np.ndarray
    ) -> None:
        """Computes frames of one tenant; blocks until they are in `mouths`.

        Args:
            weights: Of the tenant.
            frames: [n, 6 or 3, 320, 320], FP32, FP16 or UINT8; n at most the largest batch.
            audio: FP32 [1 or n, 32, 16, 16].
            mouths: Receives FP32, FP16 or UINT8 [n, 3, 320, 320].
        """
        with torch.inference_mode(), self._on_stream():
            if self._holds is not weights:
                self._holds = None  # stays so when the copy fails
                self._tiers.copy_to(weights, self._flat)
                self._holds = weights
                self.switches += 1
            batch = self._batch(batch_for(len(frames)))
            batch.fill(frames, audio, self._mask)
            batch.replay()
            target = _as_type(batch.mouths[: len(frames)], mouths.dtype)
            host = target.contiguous().to("cpu", non_blocking=False)
        np.copyto(mouths, host.numpy())

    def forget(self, weights: TieredWeights) -> None:
        """Lets go of a tenant that is freed."""
        if self._holds is weights:
            self._holds = None

    def _batch(self, size: int) -> _Batch:
        batch = self._batches.get(size)
        if batch is None:
            batch = _Batch(size, self._type, self._device)
            with _CAPTURE:
                batch.prepare(self._graph, self._weights, self._pool)
            self._pool = self._pool or batch.pool
            self._batches[size] = batch
        return batch

    @contextlib.contextmanager
    def _on_stream(self) -> Iterator[None]:
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield
            self._stream.synchronize()


class _Batch:
    """Fixed inputs and output for a number of frames."""

    def __init__(self, size: int, kind: torch.dtype, device: torch.device) -> None:
        last = torch.channels_last
        frame = (size, NETWORK_CHANNELS, SIDE, SIDE)
        self.frames = torch.zeros(frame, dtype=kind, device=device).contiguous(memory_format=last)
        self.audio = torch.zeros((size, *AUDIO_SHAPE), dtype=kind, device=device)
        self.mouths = torch.zeros((size, IMAGE_CHANNELS, SIDE, SIDE), dtype=kind, device=device)
        self.pool: Any = None
        self._device = device

    def prepare(self, graph: TorchGraph, weights: dict[str, torch.Tensor], pool: Any) -> None:
        """Captures the graph; on a CPU it is kept to be called."""

        def compute() -> None:
            self.mouths.copy_(graph(weights, self.frames, self.audio))

        self.replay = compute
        if self._device.type != "cuda":
            return
        for _ in range(3):  # libraries choose their algorithms before the capture
            compute()
        torch.cuda.current_stream(self._device).synchronize()
        captured = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream(self._device)
        with torch.cuda.graph(
            captured, pool=pool, stream=stream, capture_error_mode="thread_local"
        ):
            compute()
        self.pool = captured.pool()
        self.replay = captured.replay

    def fill(self, frames: np.ndarray, audio: np.ndarray, mask: Mask) -> None:
        """Copies a step in; frames beyond it keep what they had, and nobody looks at them."""
        count, channels = frames.shape[:2]
        raw = _from_numpy(frames).to(self._device)
        target = self.frames[:count, :channels]
        if frames.dtype == np.uint8:
            target.copy_(raw.to(torch.float32) / 255)
        else:
            target.copy_(raw)
        if channels == IMAGE_CHANNELS:
            derived = self.frames[:count, IMAGE_CHANNELS:]
            derived.copy_(target)
            rows, columns = mask.area
            derived[:, :, rows, columns] = 0
        self.audio[:count].copy_(_from_numpy(audio).to(self._device))


def _from_numpy(array: np.ndarray) -> torch.Tensor:
    """A tensor over the same memory; torch refuses read-only arrays with a warning only."""
    return torch.from_numpy(array if array.flags.writeable else np.array(array))


def _as_type(mouths: torch.Tensor, kind: np.dtype) -> torch.Tensor:
    if kind == np.uint8:
        return (mouths.to(torch.float32) * 255).round_().clamp_(0, 255).to(torch.uint8)
    return mouths.to(torch.float16 if kind == np.float16 else torch.float32)
