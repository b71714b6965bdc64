"""The header of an MP4 clip: checked against limits and reduced to one video track, undecoded.

FFmpeg builds tables from what a header says, before it has seen a frame, so a small file can cost
gigabytes or minutes. Here the header is read first, and everything that no picture needs is
hidden (its box is renamed `free`): other tracks, metadata, references to other files.

Boxes and fields: ISO/IEC 14496-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from clip_errors import ClipError, ClipLimits
from mp4_boxes import Box, BoxError, BoxReader

BRANDS = frozenset(
    (
        *(b"isom", b"avc1", b"mp41", b"mp42", b"mp71", b"dash", b"cmfc", b"MSNV"),
        *(b"M4V ", b"M4VP", b"M4VH", b"f4v "),
        *(b"iso%d" % number for number in range(2, 10)),
    )
)
"""Of which a file names at least one if it is an MP4 (https://mp4ra.org/registered-types/brands)."""

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


def read_header(data: bytes, limits: ClipLimits) -> Header:
    """Reads and checks the header of a clip.

    Raises:
        ClipError: See its codes.
    """
    if not data:
        raise ClipError("clip_empty", "the file has no bytes")
    if len(data) > limits.max_bytes:
        raise ClipError("clip_too_large", f"more than {limits.max_bytes} bytes")
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
        if not boxes or boxes[0].kind != b"ftyp" or not BRANDS & self._brands(boxes[0]):
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
                self._check_frames(frames)
            elif box is not movies[0] and box.kind not in (b"ftyp", b"mdat"):
                self._hide(box)
        return Header(bytes(self._data), width, height, is_cut)

    def _brands(self, box: Box) -> set[bytes]:
        body = bytes(self._data[box.body : min(box.end, box.body + 1024)])
        # The second four bytes are a version.
        return {body[:4], *(body[at : at + 4] for at in range(8, len(body), 4))}

    def _read_movie(self, movie: Box) -> tuple[int, tuple[int, int]]:
        """Hides all tracks but one; its number and the size of its frames."""
        found = None
        scale = 0
        for box in self._kept(movie):
            if box.kind == b"mvhd":
                scale = self._check_duration(box)
            elif box.kind == b"mvex":
                self._check_fragments_duration(box, scale)
            elif found is None and self._handler(box) == b"vide":
                found = self._read_track(box)
            else:
                self._hide(box)
        if found is None:
            raise ClipError("clip_invalid", "no video track")
        return found

    def _handler(self, track: Box) -> bytes:
        for media in self._reader.children(track):
            if media.kind == b"mdia":
                for box in self._reader.children(media):
                    if box.kind == b"hdlr":
                        return bytes(self._data[box.body + 8 : box.body + 12])
        return b""

    def _read_track(self, track: Box) -> tuple[int, tuple[int, int]]:
        number, scale, size = 0, 0, (0, 0)
        for box in self._kept_within(track):
            if box.kind == b"tkhd":
                number = self._field(box, 12, 20)
            elif box.kind == b"elst" and self._count(box) > MAX_EDITS:
                raise BoxError("too many edits")
            elif box.kind == b"mdhd":
                scale = self._check_duration(box)
            elif box.kind == b"stsd":
                size = self._check_size(box)
            elif box.kind in (b"stsz", b"stz2"):
                self._check_frames(self._reader.numbers(box, "I", 8)[0])
            elif box.kind == b"stts":
                self._check_times(box, scale)
        if not (scale and number and size[0] and size[1]):
            raise BoxError("a track without its descriptions")
        return number, size

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
        """What is kept in `box`, and in what it holds, in the order of the file."""
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
        """A field that version 1 of a box has elsewhere, because of 64-bit times before it."""
        is_long = self._data[box.body] == 1
        return self._reader.numbers(box, layout, long_offset if is_long else offset)[0]

    def _check_duration(self, box: Box) -> int:
        """Checks the duration in mvhd or mdhd; ticks per second."""
        scale = self._field(box, 12, 20)
        is_long = self._data[box.body] == 1
        ticks = self._reader.numbers(box, "Q", 24)[0] if is_long else self._count_at(box, 16)
        if not scale:
            raise BoxError("no ticks per second")
        if ticks != (2**64 - 1 if is_long else 2**32 - 1):  # all ones: unknown
            self._check_seconds(ticks / scale)
        return scale

    def _check_fragments_duration(self, box: Box, scale: int) -> None:
        for child in self._kept(box):
            if child.kind == b"mehd":
                is_long = self._data[child.body] == 1
                (ticks,) = self._reader.numbers(child, "Q" if is_long else "I", 4)
                self._check_seconds(ticks / scale if scale else 0.0)

    def _count_at(self, box: Box, offset: int) -> int:
        return self._reader.numbers(box, "I", offset)[0]

    def _check_times(self, box: Box, scale: int) -> None:
        count = self._count(box)
        if box.body + 8 + 8 * count > box.end:
            raise BoxError("a table that leaves its box")
        table = np.frombuffer(self._data, ">u4", 2 * count, box.body + 8).reshape(-1, 2)
        frames, ticks = table.astype(np.float64).T
        self._check_frames(int(frames.sum()))
        self._check_seconds(float(frames @ ticks) / scale if scale else 0.0)

    def _check_size(self, box: Box) -> tuple[int, int]:
        """Checks the size of frames in every description; the first one's."""
        sizes = []
        for entry in self._reader.boxes(box.body + 8, box.end):
            width, height = self._reader.numbers(entry, "HH", 24)
            if width * height > self._limits.max_pixels:
                raise ClipError("clip_too_large", f"more than {self._limits.max_pixels} pixels")
            sizes.append((width, height))
        if not 0 < len(sizes) <= MAX_DESCRIPTIONS:
            raise BoxError("an odd number of sample descriptions")
        return sizes[0]

    def _check_frames(self, frames: int) -> None:
        if frames > self._limits.max_frames:
            raise ClipError("clip_too_long", f"more than {self._limits.max_frames} frames")

    def _check_seconds(self, seconds: float) -> None:
        if seconds > self._limits.max_seconds:
            raise ClipError("clip_too_long", f"more than {self._limits.max_seconds:g} s")
