"""Frames on their way to a device and back, whichever of its streams is ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from frames import staging as frame_staging
from frames.staging import CHUNK, Staging
from memory.torch_device import CpuDevice

from tests.support.lazy_device import LazyDevice

DEVICES = {
    "in order": CpuDevice,
    "late": LazyDevice,
    "computes ahead of its copies": lambda: LazyDevice(hasty=0),
    "copies ahead of its computing": lambda: LazyDevice(hasty=1),
}
MOST = 3


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    return DEVICES[request.param]()


def step(
    device: Any, staging: Staging, frames: np.ndarray, audio: np.ndarray, sink: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Sends a step, "computes" twice its bytes, and brings both back."""
    staging.upload(frames, audio)
    count = frames.nbytes

    def compute() -> None:
        torch.mul(staging.frames[:count], 2, out=sink[:count])

    with device.on(staging.stream):
        device.launch(compute)
    found, sound = np.empty(count, np.uint8), np.empty(len(frames) * audio[0].nbytes, np.uint8)
    staging.download([(sink[:count], found), (staging.audio[: len(sound)], sound)])
    return found, sound


@pytest.mark.parametrize("kind", [np.uint8, np.float16, np.float32])
def test_every_byte_arrives_step_after_step(device: Any, kind: Any) -> None:
    staging = Staging(device, MOST)
    with device.on(staging.stream):
        sink = device.empty((len(staging.frames),), torch.uint8)
    random = np.random.default_rng(0)
    for count in (1, MOST, 2):
        given = random.integers(0, 256, (count, 6, 320, 320)).astype(kind)
        audio = random.standard_normal((count if count > 1 else 1, 32, 16, 16)).astype(np.float32)
        found, sound = step(device, staging, given, audio, sink)
        np.testing.assert_array_equal(found, given.reshape(-1).view(np.uint8) * np.uint8(2))
        np.testing.assert_array_equal(sound, audio.reshape(-1).view(np.uint8))


def test_one_block_of_audio_is_for_all_frames_and_gaps_do_not_matter(device: Any) -> None:
    staging = Staging(device, MOST)
    with device.on(staging.stream):
        sink = device.empty((len(staging.frames),), torch.uint8)
    frames = np.random.default_rng(1).random((MOST, 6, 320, 640), np.float32)[..., ::2]
    audio = np.random.default_rng(2).random((1, 32, 16, 16), np.float32)
    frames.flags.writeable = False
    found, sound = step(device, staging, frames, audio, sink)
    packed = np.ascontiguousarray(frames).reshape(-1).view(np.uint8)
    np.testing.assert_array_equal(found, packed * np.uint8(2))
    np.testing.assert_array_equal(sound, np.tile(audio.reshape(-1).view(np.uint8), MOST))


def test_nothing_is_allocated_for_a_step(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = Staging(device, MOST)
    with device.on(staging.stream):
        sink = device.empty((len(staging.frames),), torch.uint8)

    def never(*_: Any) -> None:
        raise AssertionError("allocated for a step")

    monkeypatch.setattr(device, "empty", never)
    monkeypatch.setattr(device, "pinned", never)
    frames, audio = np.zeros((MOST, 6, 320, 320), np.float32), np.zeros((1, 32, 16, 16), np.float32)
    assert frames.nbytes > CHUNK, "it goes in pieces"
    step(device, staging, frames, audio, sink)


def test_pinned_memory_of_a_worker_is_four_buffers() -> None:
    taken = []

    class Counting(CpuDevice):
        def pinned(self, size: int) -> torch.Tensor:
            taken.append(size)
            return super().pinned(size)

    Staging(Counting(), 25)
    assert taken == [frame_staging.CHUNK] * 4
    assert CHUNK & (CHUNK - 1) == 0, "torch pins the next power of two"
