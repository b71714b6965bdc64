"""The two dialects of InferBatch: same method, other field numbers.

V1 is what the documentation and the compositing server's stub say, V2 the replaced server's own
file, which adds `raw_audio`. A request names no dialect; its fields tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from gateway.services.lipsync.grpc.wire import (
    LENGTH,
    VARINT,
    MalformedError,
    Value,
    fields,
    float_field,
    header,
    int32,
    text_field,
    varint_field,
)


class Dialect(Enum):
    """Field numbers of a request, and so of its answer."""

    V1 = 1
    V2 = 2
    UNKNOWN = 3
    """No field tells. Such a request lacks its batch size and can only be refused."""


_NOTHING = memoryview(b"")


@dataclass(frozen=True)
class InferRequest:
    """One InferBatch request; the views point into the message that it was parsed from.

    Attributes:
        frame_format: 0 float32, 1 float16, 2 uint8.
        output_format: the same for the answer.
        input_channels: 6, or 3 when the server is to derive the masked half; 0 means 6.
        audio_per_frame: whether ``audio_features`` has a block for every frame.
        output_block: whether the answer is wanted as one block in place of ``outputs``.
    """

    dialect: Dialect
    model_id: str
    batch_size: int
    visual_frames: memoryview = _NOTHING
    audio_features: memoryview = _NOTHING
    raw_audio: memoryview = _NOTHING
    frame_format: int = 0
    output_format: int = 0
    input_channels: int = 0
    audio_per_frame: bool = False
    output_block: bool = False


class _Fields:
    """The last value of every field by number and wire type: the others are unknown fields."""

    def __init__(self, message: memoryview) -> None:
        self.fields: dict[tuple[int, int], Value] = {}
        for number, kind, value in fields(message):
            self.fields[number, kind] = value
            if (number, kind) == (1, LENGTH):
                self.model_id = _text(value)

    model_id = ""

    def has(self, number: int, kind: int) -> bool:
        return (number, kind) in self.fields

    def view(self, number: int) -> memoryview:
        value = self.fields.get((number, LENGTH), _NOTHING)
        return value if isinstance(value, memoryview) else _NOTHING

    def number(self, number: int) -> int:
        value = self.fields.get((number, VARINT), 0)
        return int32(value) if isinstance(value, int) else 0

    def flag(self, number: int) -> bool:
        return bool(self.fields.get((number, VARINT), 0))

    def dialect(self) -> Dialect:
        """Field 4 decides by its wire type; without it only V2 has numbers in 5 and 6.

        Both wire types in 4 is a V1 request with an unknown field: V2 clients have no numbers
        there, while the documentation's reading of 4 as a number is the older one.
        """
        if self.has(4, VARINT):
            return Dialect.V1
        if self.has(4, LENGTH) or self.has(5, VARINT) or self.has(6, VARINT):
            return Dialect.V2
        return Dialect.UNKNOWN


def parse_request(message: bytes) -> InferRequest:
    """Return a request of either dialect without copying its tensors.

    Raises:
        MalformedError: not a protobuf message.
    """
    fields = _Fields(memoryview(message))
    dialect = fields.dialect()
    v2 = dialect is Dialect.V2
    return InferRequest(
        dialect=dialect,
        model_id=fields.model_id,
        batch_size=fields.number(5 if v2 else 4),
        visual_frames=fields.view(2),
        audio_features=fields.view(4 if v2 else 3),
        raw_audio=fields.view(3) if v2 else fields.view(25),
        frame_format=fields.number(20),
        output_format=fields.number(21),
        input_channels=fields.number(22),
        audio_per_frame=fields.flag(23),
        output_block=fields.flag(24),
    )


def _text(value: Value) -> str:
    try:
        return str(value, "utf-8")  # type: ignore[arg-type]
    except UnicodeDecodeError:
        raise MalformedError("model_id is not UTF-8") from None


def success(
    dialect: Dialect,
    frames: Sequence[memoryview],
    *,
    inference_ms: float,
    audio_ms: float,
    device: int,
    one_block: bool,
) -> bytes:
    """Return an InferBatchResponse with ``success = true``; copies every frame once.

    Args:
        dialect: of the request.
        frames: n views of the bytes of one frame.
        inference_ms: wall time of the model.
        audio_ms: wall time from `raw_audio` to features; 0 without.
        device: where it ran.
        one_block: `output_block` in place of `outputs`.
    """
    if one_block:
        outputs: list[bytes | memoryview] = []
        last: list[bytes | memoryview] = [header(20, sum(map(len, frames))), *frames]
    else:
        inner = [header(1, len(frame)) for frame in frames]
        outer = [
            header(1, len(head) + len(frame)) + head
            for head, frame in zip(inner, frames, strict=True)
        ]
        outputs = list(chain.from_iterable(zip(outer, frames, strict=True)))
        last = []
    v1 = dialect is Dialect.V1
    done, gpu = (3, 6) if v1 else (4, 7)
    scalars = (
        float_field(2, inference_ms)
        + (b"" if v1 else float_field(3, audio_ms))
        + varint_field(done, 1)
        + varint_field(gpu, device)
    )
    if v1:
        last.append(float_field(21, audio_ms))
    return b"".join([*outputs, scalars, *last])


def failure(dialect: Dialect, error: str) -> bytes:
    """Return an InferBatchResponse with ``success = false`` and the words.

    Where the dialect is unknown they are written for both: each reads its own field, and takes
    the other, of a wire type that it does not expect there, for an unknown one.
    """
    numbers = {Dialect.V1: (4,), Dialect.V2: (5,), Dialect.UNKNOWN: (4, 5)}
    return b"".join(text_field(number, error) for number in numbers[dialect])
