"""A lip-sync call in the terms of the Triton model, in shared memory or in the message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.triton import Tensor
from gateway.triton.region_files import RegionFile
from gateway.triton.tensors import Array, PlacedTensor, RegionSpan, bytes_tensor

Format = Literal["FP32", "FP16", "UINT8"]
Data = memoryview | NDArray[Any]
SIDE = 320  # pixels
ELEMENT_BYTES: Mapping[str, int] = {"FP32": 4, "FP16": 2, "UINT8": 1}
AUDIO_SHAPE = (32, 16, 16)
_ALIGNMENT = 64


@dataclass(frozen=True)
class MouthRequest:
    """Frames and audio of one call.

    Attributes:
        tenant: id.
        frames: n of them.
        frame_format: of ``visual``.
        shape: of the frames, (n, channels, 320, 320).
        visual: uint8, the frames' bytes.
        audio_shape: (n or 1, 32, 16, 16).
        audio: uint8, the float32 features' bytes.
    """

    tenant: str
    frames: int
    frame_format: Format
    shape: tuple[int, ...]
    visual: NDArray[np.uint8]
    audio_shape: tuple[int, ...]
    audio: NDArray[np.uint8]
    output_format: Format

    @classmethod
    def of(
        cls,
        tenant: str,
        frames: tuple[Data, Format, int, int],
        audio: tuple[Data, int],
        output_format: Format,
    ) -> MouthRequest:
        """Return a request on buffers, none of which is copied.

        Args:
            tenant: id.
            frames: C-contiguous [n,channels,320,320] or its bytes; their format (FP32 and FP16
                from 0 to 1, UINT8 from 0 to 255); n; channels, 6 or, where the model is to derive
                the masked half, 3.
            audio: float32 [rows,32,16,16] or its bytes; rows, n or 1 for the same audio with every
                frame.
            output_format: of the answer.
        """
        visual, frame_format, count, channels = frames
        features, rows = audio
        return cls(
            tenant=tenant,
            frames=count,
            frame_format=frame_format,
            shape=(count, channels, SIDE, SIDE),
            visual=flat(visual),
            audio_shape=(rows, *AUDIO_SHAPE),
            audio=flat(features),
            output_format=output_format,
        )

    @property
    def frames_name(self) -> str:
        """Input of the model that the frames go to."""
        return f"FRAMES_{self.frame_format}"

    @property
    def output_name(self) -> str:
        """Output of the model that is asked for."""
        return f"MOUTH_{self.output_format}"

    @property
    def output_bytes(self) -> int:
        """Size of the answer."""
        return self.frames * 3 * SIDE * SIDE * ELEMENT_BYTES[self.output_format]

    def offsets(self) -> tuple[int, int, int]:
        """Return where audio and answer begin in a region that starts with frames, and its end."""
        audio = _aligned(len(self.visual))
        answer = audio + _aligned(len(self.audio))
        return audio, answer, answer + self.output_bytes

    def tensors(
        self, region: RegionFile | None
    ) -> tuple[dict[str, Tensor | PlacedTensor], tuple[str, ...], dict[str, RegionSpan] | None]:
        """Return inputs, outputs to return, and outputs that go to shared memory."""
        inputs: dict[str, Tensor | PlacedTensor] = {
            "TENANT": bytes_tensor([self.tenant.encode()], rows=False)
        }
        if region is None:
            inputs[self.frames_name] = Tensor(self.frame_format, self.shape, self.visual.tobytes())
            inputs["AUDIO"] = Tensor("FP32", self.audio_shape, self.audio.tobytes())
            return inputs, (self.output_name, "TIMING"), None
        audio, answer, _ = self.offsets()
        visual = RegionSpan(region.name, 0, len(self.visual))
        inputs[self.frames_name] = PlacedTensor(self.frame_format, self.shape, visual)
        sound = RegionSpan(region.name, audio, len(self.audio))
        inputs["AUDIO"] = PlacedTensor("FP32", self.audio_shape, sound)
        placed = {self.output_name: RegionSpan(region.name, answer, self.output_bytes)}
        return inputs, ("TIMING",), placed

    def answer(self, region: RegionFile | None, reply: Mapping[str, Array]) -> memoryview:
        """Return the bytes of the answer where they are."""
        if region is None or self.output_name in reply:
            return flat(reply[self.output_name]).data
        _, start, end = self.offsets()
        return region.bytes[start:end].data


def flat(data: Data) -> NDArray[np.uint8]:
    """Return the bytes of a buffer without copying them."""
    if isinstance(data, memoryview):
        return np.frombuffer(data, np.uint8)
    return data.reshape(-1).view(np.uint8)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
