"""What a stream has received and not yet used; bounded for each stream, and for all together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.errors import BadRequestError, BusyError
from gateway.services.lipsync.audio.sound_stream import SoundStream

AHEAD_BYTES, AHEAD_SECONDS = 2**24, 5.0
"""Frames and sound that a stream may have waiting; then no more is read until some is used."""
MOST_BYTES, MOST_SECONDS = 2**27, 30.0
"""The same where it waits for the other of the two, which may come later in the stream."""
HEARD_AHEAD = 0.6  # seconds of sound with which a frame can certainly be made
ALL_BYTES = 2**29  # of the frames of all streams


@dataclass
class FrameMemory:
    """Bytes of waiting frames.

    Attributes:
        used: by all streams.
    """

    used: int = 0

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            BusyError: all streams together hold too many.
        """
        if self.used + size > ALL_BYTES:
            raise BusyError(retry_after=1)
        self.used += size

    def give(self, size: int) -> None:
        """Count bytes no more."""
        self.used -= size


@dataclass
class StreamBuffer:
    """Frames and sound of one stream.

    Attributes:
        sound: what was heard; the reader and the maker lock it with ``hearing``.
        memory: counts the frames.
        still: whether the first frame serves all mouths.
        ended: whether the client has said all.
    """

    sound: SoundStream
    memory: FrameMemory
    still: bool
    ended: bool = False
    hearing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _frames: deque[memoryview] = field(default_factory=deque)
    _bytes: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _used: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Give all memory back after the block."""
        try:
            yield
        finally:
            self.memory.give(self._bytes)
            self._frames.clear()
            self._bytes = 0

    def add(self, frames: list[memoryview]) -> None:
        """Take frames in.

        Raises:
            BusyError: all streams together hold too many.
        """
        if self.still:
            frames = [] if self._frames else frames[:1]
        size = sum(map(len, frames))
        self.memory.take(size)
        self._bytes += size
        self._frames.extend(frames)

    def ready(self) -> int:
        """Return the mouths that can be made now."""
        heard = self.sound.ready()
        return heard if self.still and self._frames else min(heard, len(self._frames))

    def within_reach(self) -> int:
        """Return the mouths that could be made once what was heard is encoded."""
        heard = self.sound.within_reach()
        return heard if self.still and self._frames else min(heard, len(self._frames))

    def take(self, count: int) -> list[memoryview]:
        """Return the frames of the next ``count`` mouths."""
        if self.still:
            return [self._frames[0]] * count
        taken = [self._frames.popleft() for _ in range(count)]
        size = sum(map(len, taken))
        self.memory.give(size)
        self._bytes -= size
        return taken

    def came(self) -> None:
        """Tell the maker that there is more, or that there will be no more."""
        self._changed.set()

    def used(self) -> None:
        """Tell the reader that there is less."""
        self._used.set()

    async def change(self) -> None:
        """Wait until something came since the last time."""
        await self._changed.wait()
        self._changed.clear()

    async def room(self) -> None:
        """Wait until more may be read.

        Raises:
            BadRequestError: sound or frames run too far ahead of the other.
        """
        while self._ahead(AHEAD_BYTES, AHEAD_SECONDS) and self._moves():
            self._used.clear()
            await self._used.wait()
        if self._ahead(MOST_BYTES, MOST_SECONDS):
            what = "Frames run ahead of the sound" if self._frames else "Sound runs ahead of frames"
            raise BadRequestError(
                f"{what}: at most {MOST_BYTES >> 20} MiB and {MOST_SECONDS:g} s of them are kept"
            )

    def _ahead(self, most_bytes: int, most_seconds: float) -> bool:
        return self._bytes > most_bytes or self.sound.seconds_waiting > most_seconds

    def _moves(self) -> bool:
        return bool(self._frames) and self.sound.seconds_waiting > HEARD_AHEAD
