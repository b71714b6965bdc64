"""The RPC InferStream: sound and frames in as they come, mouths out as they are made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.admission import Admission
from gateway.errors import (
    BadRequestError,
    DeadlineError,
    InferenceError,
    RefusedError,
    UnavailableError,
)
from gateway.services.lipsync.audio.features import AudioAwayError, AudioError, LastingAudio
from gateway.services.lipsync.audio.samples import Resampling, SamplesError
from gateway.services.lipsync.audio.sound_stream import SoundStream, sound_frame
from gateway.services.lipsync.grpc.endpoint import Call, Reply
from gateway.services.lipsync.grpc.inference_pb2 import (
    StreamDropped,
    StreamMouth,
    StreamResponse,
    StreamStarted,
)
from gateway.services.lipsync.grpc.stream_buffer import FrameMemory, StreamBuffer
from gateway.services.lipsync.grpc.stream_capacity import StreamCapacity
from gateway.services.lipsync.grpc.stream_request import MAX_SOUND_BYTES, Start, checked, parse
from gateway.services.lipsync.grpc.validation import NO_ENCODER
from gateway.services.lipsync.inference import Due, MouthInference
from gateway.services.lipsync.request import MouthRequest

FRAME_US = 40_000  # microseconds of a frame
MOST_FRAMES = 5  # of one inference: a fifth of a second, after which the first can be sent
GATHERING = MOST_FRAMES * FRAME_US / 1e6  # seconds at most that mouths wait for further ones
SENDING = 0.05  # seconds in which a mouth that was made is at its client
WINDOWS = 25  # of one question to the encoder
UNSENT = 4  # inferences whose mouths the client has not taken; then none is begun


class InferStream:
    """Streams of one tenant each.

    Args:
        inference: runs the networks.
        audio: makes features of sound; None where no encoder is configured.
        admission: a slot is held for each inference, not for the stream.
        capacity: takes in the streams whose mouths are due at some time.
        patience: seconds that a client may say nothing.
    """

    def __init__(
        self,
        inference: MouthInference,
        audio: LastingAudio | None,
        admission: Admission,
        capacity: StreamCapacity,
        patience: float,
    ) -> None:
        self._capacity = capacity
        self._inference = inference
        self._audio = audio
        self._admission = admission
        self._patience = patience
        self._memory = FrameMemory()

    async def __call__(self, call: Call) -> Reply:
        """Serve one stream.

        Raises:
            BadRequestError: a message that is none, or out of order.
            RefusedError: no encoder is configured.
            GatewayError: unknown tenant, overload, deadline, Triton down.
        """
        first = parse(await call.read())
        if first.WhichOneof("part") != "start":
            raise BadRequestError("The first message must be the start")
        start = checked(first.start)
        if self._audio is None:
            raise RefusedError(NO_ENCODER)
        try:
            resampling = Resampling(start.sample_format, start.rate)
        except SamplesError as error:
            raise BadRequestError(str(error)) from None
        with self._capacity.stream() if start.delay is not None else nullcontext():
            await self._serve(call, start, self._audio, resampling)
        return Reply(b"")

    async def _serve(
        self, call: Call, start: Start, audio: LastingAudio, resampling: Resampling
    ) -> None:
        buffer = StreamBuffer(SoundStream(start.first_frame), self._memory, start.still)
        reader = Reader(call, start, resampling, buffer, self._patience)
        maker = Maker(
            call, start, buffer, self._inference, audio, self._admission, self._capacity, reader
        )
        started = StreamStarted(
            sound_frame=sound_frame(start.first_frame), first_frame=start.first_frame
        )
        await call.send(StreamResponse(started=started).SerializeToString())
        with buffer.counted():
            await together(reader.run(), maker.run(), maker.send())


@dataclass
class Reader:
    """Takes in what the client sends.

    Attributes:
        begin: when the first sound came, by the monotonic clock.
    """

    call: Call
    start: Start
    resampling: Resampling
    buffer: StreamBuffer
    patience: float
    begin: float | None = None

    async def run(self) -> None:
        """Read to the end.

        Raises:
            BadRequestError: a message that is none.
            DeadlineError: the client says nothing.
            BusyError: too much waits already.
        """
        while (message := await self.call.next(self.patience)) is not None:
            part = parse(message)
            kind = part.WhichOneof("part")
            if kind == "sound":
                await self._hear(part.sound.samples)
            elif kind == "frames":
                self.buffer.add(self.start.frames(part.frames.data))
            else:
                raise BadRequestError("Only the first message may be a start")
            self.buffer.came()
            await self.buffer.room()
        async with self.buffer.hearing:
            self.buffer.sound.add(self.resampling.rest())
            self.buffer.sound.end()
        self.buffer.ended = True
        self.buffer.came()

    async def _hear(self, piece: bytes) -> None:
        if len(piece) > MAX_SOUND_BYTES:
            raise BadRequestError(f"More than {MAX_SOUND_BYTES} bytes of sound in one message")
        if self.begin is None:
            self.begin = time.monotonic()
        try:
            samples = self.resampling.samples(piece)
        except SamplesError as error:
            raise BadRequestError(f"Invalid sound: {error}") from None
        async with self.buffer.hearing:
            self.buffer.sound.add(samples)


@dataclass
class Maker:
    """Makes mouths in order and hands them over."""

    call: Call
    start: Start
    buffer: StreamBuffer
    inference: MouthInference
    audio: LastingAudio
    admission: Admission
    capacity: StreamCapacity
    reader: Reader
    _made: asyncio.Queue[list[StreamResponse] | None] = field(
        default_factory=lambda: asyncio.Queue(UNSENT)
    )
    _next: int = 0
    _seconds: float = 0.0  # that the last inference took
    _each: float = 0.0  # that each of its mouths took, their sound included
    _encoding: float = 0.0  # seconds for what was encoded and not yet made

    async def run(self) -> None:
        """Make mouths until the client has said all and nothing more can be made."""
        self._next = self.start.first_frame
        while True:
            ended = self.buffer.ended or await self._gathered()
            while await self._encode():
                pass
            if not await self._make():
                if ended:
                    break
                await self.buffer.change()
        await self._made.put(None)

    async def send(self) -> None:
        """Send what was made; a client that does not read keeps more from being made."""
        while (made := await self._made.get()) is not None:
            for response in made:
                await self.call.send(response.SerializeToString())

    def due(self, frame: int) -> float | None:
        """Return when a mouth is due, by the monotonic clock."""
        if self.start.delay is None or self.reader.begin is None:
            return None
        shown = (frame - self.start.first_frame + 1) * FRAME_US / 1e6
        return self.reader.begin + shown + self.start.delay

    async def _gathered(self) -> bool:
        """Wait, where many streams are open, for as many mouths as the next one leaves time for.

        One inference of five costs less than five of one. Returns whether the client has said all.
        """
        until = time.monotonic() + GATHERING
        while not self.buffer.ended and self._each and self.capacity.crowded:
            count, due = self.buffer.within_reach(), self.due(self._next)
            if not 0 < count < MOST_FRAMES or due is None:
                break
            # Twice what they take by the last ones: others' turns come between.
            latest = min(until, due - 2 * (count + 1) * self._each - SENDING)
            try:
                await asyncio.wait_for(self.buffer.change(), max(0.0, latest - time.monotonic()))
            except TimeoutError:
                break
        return self.buffer.ended

    async def _encode(self) -> bool:
        """Make vectors of the windows that are complete; False where there is none."""
        async with self.buffer.hearing:  # sound must not come in under the thread
            windows = await asyncio.to_thread(self.buffer.sound.windows, WINDOWS)
        if not len(windows):
            return False
        begin = time.monotonic()
        try:
            vectors = await self.audio.of_windows(windows, self.call.time_left())
        except AudioAwayError as error:
            raise UnavailableError(str(error)) from None
        except AudioError as error:
            raise InferenceError(str(error)) from None
        self.buffer.sound.encoded(vectors)
        self._encoding += time.monotonic() - begin
        return self.buffer.ready() < MOST_FRAMES

    async def _make(self) -> bool:
        """Make the next few mouths, or leave out those that are late."""
        count = min(self.buffer.ready(), MOST_FRAMES)
        if not count:
            return False
        frames, audio, index = self.buffer.take(count), self.buffer.sound.take(count), self._next
        self._next += count
        self.buffer.used()
        late = sum(self._hopeless(index + place) for place in range(count))
        responses = []
        if late:
            frames, audio = frames[late:], audio[late:]
            responses.append(_dropped(index, late))
        if frames:
            responses += await self._mouths(index + late, frames, audio)
        await self._made.put(responses)
        return True

    def _hopeless(self, frame: int) -> bool:
        """Whether a mouth is to be left out: it would take as long as the last few did."""
        return self.start.drop_late and self._late(frame, time.monotonic() + self._seconds)

    async def _mouths(
        self,
        index: int,
        frames: list[memoryview],
        audio: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    ) -> list[StreamResponse]:
        count, last = len(frames), self.due(index + len(frames) - 1)
        visual = memoryview(frames[0] if count == 1 else b"".join(frames))
        request = MouthRequest.of(
            self.start.tenant,
            (visual, self.start.frame_format, count, self.start.channels),
            (audio, count),
            self.start.output_format,
        )
        first = self.due(index)
        due = None if first is None else Due(first, FRAME_US / 1e6)
        begin, timeout = time.monotonic(), self.call.time_left()
        if self.start.drop_late and last is not None:
            timeout = min(timeout, last - begin)
        try:
            async with (
                self.admission.slot(),
                self.inference.running(request, timeout, due) as region,
            ):
                now = time.monotonic()
                mouths = [bytes(mouth) for mouth in region.frames(count)]
        except DeadlineError:
            if self.start.drop_late and self.call.time_left() > 0:
                return [_dropped(index, count)]
            raise
        self._seconds = now - begin
        self._each = (self._encoding + self._seconds) / count
        self.capacity.meter.made(count, self._encoding + region.seconds)
        self._encoding = 0.0
        late = sum(self._late(index + place, now) for place in range(count))
        if late and self.start.drop_late:
            rest = [_mouth(index + place, mouths[place]) for place in range(late, count)]
            return [_dropped(index, late), *rest]
        return [_mouth(index + place, mouths[place], place < late) for place in range(count)]

    def _late(self, frame: int, now: float) -> bool:
        """Whether a mouth was due before `now`; where one is, those before it are, too."""
        due = self.due(frame)
        return due is not None and now > due


def _mouth(index: int, data: bytes, late: bool = False) -> StreamResponse:
    return StreamResponse(
        mouth=StreamMouth(index=index, timestamp_us=index * FRAME_US, data=data, late=late)
    )


def _dropped(index: int, count: int) -> StreamResponse:
    return StreamResponse(dropped=StreamDropped(index=index, count=count))


async def together(*sides: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side; the first error ends the others and is raised."""
    tasks = [asyncio.ensure_future(side) for side in sides]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
