"""A slot: the place on a device where one worker computes whichever tenant of a graph comes.

Everything in it has a fixed address, so that captured CUDA graphs can be replayed for any tenant
after one flat copy of its weights. On a CPU device the same is run as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from frames.pixels import AUDIO_SHAPE, IMAGE_CHANNELS, NETWORK_CHANNELS, SIDE, Mask
from frames.staging import Staging
from lipsync_errors import NotFiniteError
from memory.torch_device import CpuDevice
from memory.weight_tiers import TieredWeights, WeightTiers
from numpy.typing import NDArray
from tenants.blob import Placed

from engines.onnx_torch import TorchGraph

BATCHES = (1, 2, 4, 6, 8, 12, 16, 20, 25)
"""Sizes that graphs are captured for; a step runs in the smallest that holds it. They share their
memory, so each costs little more than its capture."""
_TYPES = {"float32": torch.float32, "float16": torch.float16, "uint8": torch.uint8}
"""Of frames and mouths, by NumPy's names."""


def batch_for(count: int, batches: Sequence[int] = BATCHES) -> int:
    """Return the captured size that `count` frames run in.

    Raises:
        ValueError: More than the largest.
    """
    for size in batches:
        if count <= size:
            return size
    raise ValueError(f"{count} frames in one step")


def weight_views(flat: torch.Tensor, placed: list[Placed]) -> dict[str, torch.Tensor]:
    """Return the weights in a flat buffer, by name; convolutions' in channels-last order.

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


def to_channels_last(flat: NDArray[Any], placed: list[Placed]) -> torch.Tensor:
    """Return a blob's FP16 weights with inputs last, as GPU kernels want convolutions."""
    source = torch.from_numpy(np.array(flat))  # a copy: the blob itself is read-only
    for weight in placed:
        if len(weight.shape) == 4 and weight.shape[1] > 1 and weight.shape[2:] != (1, 1):
            first, count = weight.offset // 2, math.prod(weight.shape)
            part = source[first : first + count]
            part.copy_(part.view(weight.shape).permute(0, 2, 3, 1).reshape(-1))
    return source


class Slot:
    """Fixed buffers and captured graphs of one worker for one graph.

    Whoever calls its methods holds the lock of its staging.
    """

    def __init__(
        self,
        graph: TorchGraph,
        placed: list[Placed],
        numbers: int,
        tiers: WeightTiers,
        device: CpuDevice,
        staging: Staging,
        mask: Mask,
        batches: Sequence[int] = BATCHES,
    ) -> None:
        """Allocates everything; `numbers` are in the flat buffer of a tenant."""
        self._graph = graph
        self._tiers = tiers
        self._device = device
        self._staging = staging
        self._mask = mask
        self._batches = batches
        self._holds: TieredWeights | None = None
        self._pool: Any = None
        self._replays: dict[int, _Replays] = {}
        self.switches = 0
        """How often other weights had to be copied in."""
        with device.on(staging.stream):
            self._flat = device.empty((numbers,), device.dtype)
            self._weights = weight_views(self._flat, placed)
            self._buffers = _Buffers(device, batches[-1])

    @property
    def captured(self) -> dict[int, Callable[[], None]]:
        """What replays each prepared batch, by its frames, ascending."""
        return {size: self._replays[size].compute for size in sorted(self._replays)}

    def prepare(self, size: int, thorough: bool) -> None:
        """Plans and captures one of the batches; blocks until it can be replayed.

        Args:
            size: Frames; the largest first, for the others fit into its memory.
            thorough: Whether algorithms are timed, or chosen by rules.
        """
        replays = _Replays()
        step = _Step(self._buffers, self._staging, size, self._mask)

        def compute() -> None:
            step.finish(self._graph(self._weights, step.frames, step.audio))

        with self._device.on(self._staging.stream):
            self._device.plan(compute, self._staging.stream, thorough)
            replays.compute = self._capture(compute)
            for kind, channels in product(_TYPES, (IMAGE_CHANNELS, NETWORK_CHANNELS)):

                def fill(kind: str = kind, channels: int = channels) -> None:
                    step.fill(_TYPES[kind], channels)

                self._device.plan(fill, self._staging.stream, thorough=False)
                replays.fill[kind, channels] = self._capture(fill)
        self._replays[size] = replays

    def run(
        self,
        weights: TieredWeights,
        frames: NDArray[Any],
        audio: NDArray[Any],
        mouths: NDArray[Any],
    ) -> None:
        """Compute frames of one tenant; blocks until they are in `mouths`.

        Args:
            weights: Of the tenant.
            frames: [n, 6 or 3, 320, 320], FP32, FP16 or UINT8; n at most the largest batch.
            audio: FP32 [1 or n, 32, 16, 16].
            mouths: Receives FP32, FP16 or UINT8 [n, 3, 320, 320]; without gaps.

        Raises:
            NotFiniteError: A number of a mouth is infinite, or none.
        """
        count, channels = frames.shape[:2]
        replays = self._replays[batch_for(count, self._batches)]
        self.switch(weights)
        self._staging.upload(frames, audio)
        with self._device.on(self._staging.stream):
            self._device.launch(replays.fill[frames.dtype.name, channels])
            self._device.launch(replays.compute)
        computed = self._buffers.mouths[mouths.dtype.name][:count]
        finite = np.empty(count, np.uint8)
        self._staging.download(
            [
                (self._buffers.finite[:count], finite),
                (computed.reshape(-1).view(torch.uint8), mouths.reshape(-1).view(np.uint8)),
            ]
        )
        if not finite.all():
            raise NotFiniteError

    def eager(
        self, weights: TieredWeights, frames: NDArray[Any], audio: NDArray[Any]
    ) -> NDArray[Any]:
        """Mouths of one frame, without captured graphs and with every fused output spoilt first.

        cuDNN's convolution with ReLU is given its own output, whatever was there before, with a
        factor of zero. Where it reads that, not-a-numbers come out.

        Args:
            weights: Of the tenant.
            frames: FP32 [1, 6, 320, 320].
            audio: FP32 [1, 32, 16, 16].

        Returns:
            FP32 [1, 3, 320, 320].
        """
        step = _Step(self._buffers, self._staging, 1, self._mask)
        mouths = np.empty((1, IMAGE_CHANNELS, SIDE, SIDE), np.float32)
        self.switch(weights)
        self._staging.upload(frames, audio)

        def compute() -> None:
            step.fill(torch.float32, NETWORK_CHANNELS)
            step.finish(self._graph(self._weights, step.frames, step.audio, spoil=True))

        with self._device.on(self._staging.stream):
            # Timed here, too: cuDNN keeps what is chosen first for a shape.
            self._device.plan(compute, self._staging.stream, thorough=True)
            self._device.launch(compute)
        source = self._buffers.mouths["float32"][:1].reshape(-1).view(torch.uint8)
        self._staging.download([(source, mouths.reshape(-1).view(np.uint8))])
        return mouths

    def switch(self, weights: TieredWeights) -> None:
        """Copy a tenant's weights in, unless they are there."""
        if self._holds is weights:
            return
        self._holds = None  # stays so when the copy fails
        with self._device.on(self._staging.stream):
            self._tiers.copy_to(weights, self._flat, self._staging.stream)
        self._holds = weights
        self.switches += 1

    def forget(self, weights: TieredWeights) -> None:
        """Lets go of a tenant that is freed."""
        if self._holds is weights:
            self._holds = None

    def _capture(self, call: Callable[[], None]) -> Callable[[], None]:
        replay, self._pool = self._device.capture(call, self._staging.stream, self._pool)
        return replay


class _Replays:
    """The captured graphs of one batch: of its filling, by type and channels, and of the rest."""

    def __init__(self) -> None:
        self.compute: Callable[[], None] = lambda: None
        self.fill: dict[tuple[str, int], Callable[[], None]] = {}


class _Buffers:
    """Inputs and outputs of the network for the largest batch; others use their beginning."""

    def __init__(self, device: CpuDevice, most: int) -> None:
        frame = (most, SIDE, SIDE, NETWORK_CHANNELS)
        mouth = (most, IMAGE_CHANNELS, SIDE, SIDE)
        self.frames = device.empty(frame, device.dtype).zero_().permute(0, 3, 1, 2)
        self.audio = device.empty((most, *AUDIO_SHAPE), device.dtype).zero_()
        self.mouths = {name: device.empty(mouth, kind) for name, kind in _TYPES.items()}
        self.finite = device.empty((most,), torch.uint8)


class _Step:
    """The work of one batch beside the network: types and channels in, types out."""

    def __init__(self, buffers: _Buffers, staging: Staging, size: int, mask: Mask) -> None:
        self.frames, self.audio = buffers.frames[:size], buffers.audio[:size]
        self._mouths = {name: mouths[:size] for name, mouths in buffers.mouths.items()}
        self._finite = buffers.finite[:size]
        self._staging = staging
        self._mask = mask

    def fill(self, kind: torch.dtype, channels: int) -> None:
        """Take the staged frames over; those beyond a step's are whatever was there."""
        shape = (len(self.frames), channels, SIDE, SIDE)
        raw = self._staging.frames[: math.prod(shape) * kind.itemsize].view(kind).view(shape)
        target = self.frames[:, :channels]
        target.copy_(raw)
        if kind == torch.uint8:
            target.div_(255)
        if channels == IMAGE_CHANNELS:
            derived = self.frames[:, IMAGE_CHANNELS:]
            derived.copy_(target)
            rows, columns = self._mask.area
            derived[:, :, rows, columns].zero_()
        blocks = self._staging.audio.view(torch.float32).view(-1, *AUDIO_SHAPE)
        self.audio.copy_(blocks[: len(self.frames)])

    def finish(self, mouths: torch.Tensor) -> None:
        """Hands the network's mouths over in every type, and whether they are finite."""
        for name in ("float32", "float16"):
            self._mouths[name].copy_(mouths)
        bytes_ = (mouths.to(torch.float32) * 255).round_().clamp_(0, 255)
        self._mouths["uint8"].copy_(bytes_)
        self._finite.copy_(mouths.isfinite().flatten(1).all(1))
