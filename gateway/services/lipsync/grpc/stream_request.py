"""What the client of a stream says: its first message, and the parts that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from google.protobuf.message import DecodeError

from gateway.errors import BadRequestError
from gateway.services.lipsync.audio.mel import SAMPLE_RATE
from gateway.services.lipsync.audio.samples import SampleFormat
from gateway.services.lipsync.grpc.inference_pb2 import StreamRequest, StreamStart
from gateway.services.lipsync.grpc.validation import FORMATS, MAX_BATCH, frame_bytes, id_problem
from gateway.services.lipsync.request import Format

SAMPLE_FORMATS = ("PCM16", "FLOAT32")
MAX_FRAME = 2**40  # of a stream; 25 a second for a thousand years
MAX_SOUND_BYTES = 2**22  # of one message; ten seconds of float32 at 96 kHz


@dataclass(frozen=True)
class Start:
    """How a stream begins.

    Attributes:
        tenant: id.
        sample_format: of the sound.
        rate: of the sound, Hz.
        frame_format: of the frames.
        output_format: of the mouths.
        channels: of the frames, 6 or 3.
        still: whether one frame serves all mouths.
        first_frame: number of the first mouth.
        delay: seconds after its own moment in which a mouth is in time; None: always.
        drop_late: whether others are left out.
    """

    tenant: str
    sample_format: SampleFormat
    rate: int
    frame_format: Format
    output_format: Format
    channels: int
    still: bool
    first_frame: int
    delay: float | None
    drop_late: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return frame_bytes(self.channels, FORMATS.index(self.frame_format))

    def frames(self, data: bytes) -> list[memoryview]:
        """Return the frames of a message.

        Raises:
            BadRequestError: no whole number of frames, none, or too many.
        """
        count, rest = divmod(len(data), self.frame_bytes)
        if rest or not 1 <= count <= MAX_BATCH:
            raise BadRequestError(
                f"Invalid frames size: got {len(data)} bytes, expected 1-{MAX_BATCH} frames of "
                f"{self.frame_bytes} bytes"
            )
        whole, size = memoryview(data), self.frame_bytes
        return [whole[start : start + size] for start in range(0, len(data), size)]


def parse(message: bytes) -> StreamRequest:
    """Return a message.

    Raises:
        BadRequestError: it is no protobuf of this interface, or says nothing.
    """
    try:
        request = StreamRequest.FromString(message)
    except DecodeError:
        raise BadRequestError("The message is malformed") from None
    if request.WhichOneof("part") is None:
        raise BadRequestError("The message has neither start, sound nor frames")
    return request


def checked(given: StreamStart) -> Start:
    """Return how a stream begins.

    Raises:
        BadRequestError: a value that none can have.
    """
    if problem := id_problem(given.model_id):
        raise BadRequestError(problem)
    for name, value, kinds in (
        ("sample format", given.sample_format, len(SAMPLE_FORMATS)),
        ("frame format", given.frame_format, len(FORMATS)),
        ("output format", given.output_format, len(FORMATS)),
    ):
        if not 0 <= value < kinds:
            raise BadRequestError(f"Invalid {name}: {value} (must be 0-{kinds - 1})")
    if given.input_channels not in (0, 3, 6):
        raise BadRequestError(f"Invalid input channels: {given.input_channels} (must be 3 or 6)")
    if not 0 <= given.first_frame <= MAX_FRAME:
        raise BadRequestError(f"Invalid first frame: {given.first_frame} (must be 0-{MAX_FRAME})")
    if given.delay_ms < 0:
        raise BadRequestError(f"Invalid delay: {given.delay_ms} ms (must be 0 or more)")
    if given.drop_late and not given.delay_ms:
        raise BadRequestError("drop_late needs a delay_ms, without which no mouth is late")
    return Start(
        tenant=given.model_id,
        sample_format=cast(SampleFormat, SAMPLE_FORMATS[given.sample_format]),
        rate=given.sample_rate or SAMPLE_RATE,
        frame_format=cast(Format, FORMATS[given.frame_format]),
        output_format=cast(Format, FORMATS[given.output_format]),
        channels=given.input_channels or 6,
        still=given.still,
        first_frame=given.first_frame,
        delay=given.delay_ms / 1000 if given.delay_ms else None,
        drop_late=given.drop_late,
    )
