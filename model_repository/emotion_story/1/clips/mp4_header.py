"""The header of an MP4, QuickTime or 3GP clip: checked, and reduced to one track, undecoded.

FFmpeg builds tables from what a header says, before it has seen a frame, so a small file can cost
gigabytes or minutes. Here the header is read first, and everything that no picture needs is
hidden (its box is renamed `free`): other tracks, metadata, references to other files.

Boxes and fields: ISO/IEC 14496-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clips.errors import ClipError, ClipLimits
from clips.mp4_boxes import Box, BoxError, BoxReader

_FIRST = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"))
"""Of which one begins the file; QuickTime's first files had no brand, and other brands than those
of their content are common."""

MAX_EDITS = 16
"""FFmpeg walks through all frames once for each edit."""
MAX_DESCRIPTIONS = 4
"""Sample descriptions of the track; encoders write one."""

_KEPT = {
    b"moov": (b"mvhd", b"trak", b"mvex"),
    b"trak": (b"tkhd", b"edts", b"mdia"),
    b"edts": (b"elst",),
    b"mdia": (b"mdhd", b"hdlr", b"minf"),
    b"minf": (b"vmhd", b"stbl"),
    b"stbl": (
        *(b"stsd", b"stts", b"ctts", b"cslg", b"stss"),
        *(b"stsz", b"stz2", b"stsc", b"stco", b"co64"),
    ),
    b"mvex": (b"mehd", b"trex"),
    b"moof": (b"mfhd", b"traf"),
    b"traf": (b"tfhd", b"tfdt", b"trun"),
}
_REPEATED = frozenset([b"trak", b"trex", b"traf", b"trun"])


@dataclass(frozen=True)
class Header:
    """What a clip says of itself.

    Attributes:
        data: The file with everything hidden but its video track.
        width: Of its frames as stored, in pixels.
        height: Of its frames as stored, in pixels.
        is_cut: Whether the file ends before it says that it does.
    """

    data: bytes
    width: int
    height: int
    is_cut: bool


@dataclass(frozen=True)
class _Track:
    """The video track: its number, size of frames, seconds of all of them, ticks of its edits."""

    number: int
    size: tuple[int, int]
    seconds: float
    edits: int

    def shown_seconds(self, scale: int) -> float:
        """Seconds that are shown, where a movie has `scale` ticks per second."""
        return min(self.seconds, self.edits / scale) if self.edits and scale else self.seconds


def read_header(data: bytes, limits: ClipLimits) -> Header:
    """Read and check the header of a clip.

    Raises:
        ClipError: See its codes.
    """
    if not data:
        raise ClipError("clip_empty", "the file has no bytes")
    limits.check(bytes=len(data))
    try:
        return _HeaderReader(data, limits).read()
    except BoxError as error:
        raise ClipError("clip_invalid", f"not an MP4 file: {error}") from error


class _HeaderReader:
    def __init__(self, data: bytes, limits: ClipLimits) -> None:
        self._limits = limits
        self._reader = BoxReader(data)
        self._data = bytearray(data)

    def read(self) -> Header:
        boxes = list(self._reader.boxes(0, len(self._data)))
        if not boxes or boxes[0].kind not in _FIRST:
            raise ClipError("clip_invalid", "not an MP4 file")
        is_cut = boxes[-1].is_cut or boxes[-1].end < len(self._data)
        if boxes[-1].is_cut and boxes[-1].kind == b"moof":
            del self._data[boxes[-1].start :]  # nothing of it can be used
            boxes.pop()
        movies = [box for box in boxes if box.kind == b"moov"]
        if not movies or movies[0].is_cut:
            if is_cut:
                raise ClipError("clip_truncated", "the file ends before its header")
            raise ClipError("clip_invalid", "an MP4 file without a movie")
        track, (width, height) = self._read_movie(movies[0])
        frames = 0
        for box in boxes:
            if box.kind == b"moof":
                frames += self._read_fragment(box, track)
                self._limits.check(frames=frames)
            elif box is not movies[0] and box.kind not in (b"ftyp", b"mdat"):
                self._hide(box)
        return Header(bytes(self._data), width, height, is_cut)

    def _read_movie(self, movie: Box) -> tuple[int, tuple[int, int]]:
        """Hides all tracks but one; its number and the size of its frames."""
        video = None
        scale = 0
        for box in self._kept(movie):
            if box.kind == b"mvhd":
                scale = self._scale(box)
            elif box.kind == b"mvex":
                list(self._kept(box))  # hides the rest
            elif video is None and self._handler(box) == b"vide":
                video = self._read_track(box)
            else:
                self._hide(box)
        if video is None:
            raise ClipError("clip_invalid", "no video track")
        self._limits.check(seconds=video.shown_seconds(scale))
        return video.number, video.size

    def _handler(self, track: Box) -> bytes:
        for media in self._reader.children(track):
            if media.kind == b"mdia":
                for box in self._reader.children(media):
                    if box.kind == b"hdlr":
                        return bytes(self._data[box.body + 8 : box.body + 12])
        return b""

    def _read_track(self, track: Box) -> _Track:
        number, scale, size = 0, 0, (0, 0)
        ticks, edits = 0.0, [0]
        for box in self._kept_within(track):
            if box.kind == b"tkhd":
                number = self._field(box, 12, 20)
            elif box.kind == b"elst":
                edits = self._read_edits(box)
            elif box.kind == b"mdhd":
                scale = self._scale(box)
            elif box.kind == b"stsd":
                size = self._check_size(box)
            elif box.kind in (b"stsz", b"stz2"):
                self._limits.check(frames=self._reader.numbers(box, "I", 8)[0])
            elif box.kind == b"stts":
                ticks = self._read_times(box)
        if not (scale and number and size[0] and size[1]):
            raise BoxError("a track without its descriptions")
        return _Track(number, size, ticks / scale, sum(edits))

    def _read_edits(self, box: Box) -> list[int]:
        """How long each part that is shown lasts, in ticks of the movie; 0 is the whole rest."""
        count = self._count(box)
        if count > MAX_EDITS:
            raise BoxError("too many edits")
        layout, size = ("Qq", 20) if self._data[box.body] == 1 else ("Ii", 12)
        edits = [self._reader.numbers(box, layout, 8 + size * place) for place in range(count)]
        shown = [ticks for ticks, start in edits if start != -1]  # others are gaps
        return shown if all(shown) else [0]

    def _read_fragment(self, fragment: Box, track: int) -> int:
        """Hides other tracks; frames in the fragment."""
        frames = 0
        for part in self._kept(fragment):
            if part.kind != b"traf":
                continue
            boxes = list(self._kept(part))
            if [self._reader.numbers(box, "I", 4)[0] for box in boxes if box.kind == b"tfhd"] != [
                track
            ]:
                self._hide(part)
                continue
            frames += sum(self._count(box) for box in boxes if box.kind == b"trun")
        return frames

    def _kept_within(self, box: Box) -> Iterator[Box]:
        """Return what is kept in `box`, and in what it holds, in the order of the file."""
        for child in self._kept(box):
            yield child
            if child.kind in _KEPT:
                yield from self._kept_within(child)

    def _kept(self, box: Box) -> Iterator[Box]:
        """Children of `box` that pictures need; the others are hidden."""
        seen = set()
        for child in self._reader.children(box):
            if child.kind in _KEPT[box.kind] and (
                child.kind in _REPEATED or child.kind not in seen
            ):
                seen.add(child.kind)
                yield child
            else:
                self._hide(child)

    def _hide(self, box: Box) -> None:
        self._data[box.start + 4 : box.start + 8] = b"free"

    def _count(self, box: Box) -> int:
        return self._reader.numbers(box, "I", 4)[0]

    def _field(self, box: Box, offset: int, long_offset: int, layout: str = "I") -> int:
        """Return a field that version 1 of a box has elsewhere, behind 64-bit times."""
        is_long = self._data[box.body] == 1
        return self._reader.numbers(box, layout, long_offset if is_long else offset)[0]

    def _scale(self, box: Box) -> int:
        """Ticks per second in mvhd or mdhd; the duration beside it need not be what is shown."""
        scale = self._field(box, 12, 20)
        if not scale:
            raise BoxError("no ticks per second")
        return scale

    def _read_times(self, box: Box) -> float:
        """Ticks from the first frame to the last one, whose own duration does not count."""
        count = self._count(box)
        if box.body + 8 + 8 * count > box.end:
            raise BoxError("a table that leaves its box")
        table = np.frombuffer(self._data, ">u4", 2 * count, box.body + 8).reshape(-1, 2)
        frames, ticks = table.astype(np.float64).T
        self._limits.check(frames=int(frames.sum()))
        return float(frames @ ticks - ticks[-1]) if count else 0.0

    def _check_size(self, box: Box) -> tuple[int, int]:
        """Check the size of frames in every description; the first one's."""
        sizes = []
        for entry in self._reader.boxes(box.body + 8, box.end):
            width, height = self._reader.numbers(entry, "HH", 24)
            self._limits.check(pixels=width * height)
            sizes.append((width, height))
        if not 0 < len(sizes) <= MAX_DESCRIPTIONS:
            raise BoxError("an odd number of sample descriptions")
        return sizes[0]
