"""The way of frames to a device and back: pinned buffers, two for each way, and two streams.

While the device fetches one buffer by itself, the thread fills the other one; on the way back it
empties one while the device fills the other. Nothing is allocated for a step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from memory.torch_device import CpuDevice
from numpy.typing import NDArray

from frames.pixels import AUDIO_SHAPE, NETWORK_CHANNELS, SIDE

CHUNK = 2**22
"""Bytes of a buffer: 13 frames of three channels in UINT8, or one and a half of six in FP32."""
FRAME_BYTES = NETWORK_CHANNELS * SIDE * SIDE * 4
"""Of a frame in the largest format."""
AUDIO_BYTES = int(np.prod(AUDIO_SHAPE)) * 4


class _Buffer:
    """Pinned bytes, and the event after which the device is done with them."""

    def __init__(self, device: CpuDevice) -> None:
        self.memory = device.pinned(CHUNK)
        self.array = self.memory.numpy()
        self.done = device.event()


class Staging:
    """What one worker has on a device whatever it computes.

    Attributes:
        lock: Held by whoever uses it, for a whole step.
        stream: Where a step is computed.
        frames: Bytes on the device, as they came: the frames of a step.
        audio: Likewise, the blocks of audio features, FP32, one for each frame.
    """

    def __init__(self, device: CpuDevice, most_frames: int) -> None:
        """Allocates for steps of `most_frames`."""
        self._device = device
        self.lock = threading.Lock()
        self.stream = device.stream()
        self._copies = device.stream()
        self._into = [_Buffer(device) for _ in range(2)]
        self._out = [_Buffer(device) for _ in range(2)]
        self._turn = 0
        with device.on(self.stream):
            self.frames = device.empty((most_frames * FRAME_BYTES,), torch.uint8)
            self.audio = device.empty((most_frames * AUDIO_BYTES,), torch.uint8)
        self._order(self.stream, self._copies)

    def upload(self, frames: NDArray[Any], audio: NDArray[Any]) -> None:
        """Brings a step's frames and audio to `self.frames` and `self.audio`.

        What is put on `stream` afterwards finds them there.

        Args:
            frames: [n, 6 or 3, 320, 320], any type.
            audio: FP32 [1 or n, 32, 16, 16]; one block is for all frames.
        """
        blocks = np.broadcast_to(audio, (len(frames), *audio.shape[1:]))
        with self._device.on(self._copies):
            self._send(_bytes(frames), self.frames)
            self._send(_bytes(blocks), self.audio)
        self._order(self._copies, self.stream)

    def download(self, parts: Iterable[tuple[torch.Tensor, NDArray[Any]]]) -> None:
        """Brings what `stream` computes to arrays; returns when it is there.

        Args:
            parts: Flat tensors of bytes on the device, each with a flat array of as many.
        """
        self._order(self.stream, self._copies)
        waiting: tuple[_Buffer, NDArray[Any]] | None = None
        with self._device.on(self._copies):
            for source, target in parts:
                for first in range(0, len(target), CHUNK):
                    piece = target[first : first + CHUNK]
                    buffer = self._next(self._out)
                    self._device.copy(
                        buffer.memory[: len(piece)], source[first : first + len(piece)]
                    )
                    buffer.done.record(self._copies)
                    if waiting:
                        _empty(*waiting)
                    waiting = buffer, piece
        if waiting:
            _empty(*waiting)

    def _send(self, source: NDArray[Any], target: torch.Tensor) -> None:
        for first in range(0, len(source), CHUNK):
            piece = source[first : first + CHUNK]
            buffer = self._next(self._into)
            buffer.done.synchronize()
            np.copyto(buffer.array[: len(piece)], piece)
            self._device.copy(target[first : first + len(piece)], buffer.memory[: len(piece)])
            buffer.done.record(self._copies)

    def _next(self, buffers: list[_Buffer]) -> _Buffer:
        self._turn = 1 - self._turn
        return buffers[self._turn]

    def _order(self, first: Any, then: Any) -> None:
        """Lets what comes on one stream wait for what is on another."""
        event = self._device.event()
        event.record(first)
        then.wait_event(event)


def _bytes(array: NDArray[Any]) -> NDArray[Any]:
    """Return the bytes of an array; itself, unless it has gaps."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _empty(buffer: _Buffer, target: NDArray[Any]) -> None:
    buffer.done.synchronize()
    np.copyto(target, buffer.array[: len(target)])
