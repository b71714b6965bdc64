"""A WebM clip, as browsers record it: checked against limits and written anew, undecoded.

FFmpeg keeps whatever a file lists before it has seen a frame: tracks, tags, cues, attachments. So
the file is walked through here, and only one video track and its frames are handed on.

Elements: RFC 9559 (Matroska), and the subset of it that is WebM.
"""

from __future__ import annotations

from collections.abc import Iterator

from clips.ebml_elements import Element, ElementError, ElementReader, element, number_length
from clips.errors import ClipError, ClipLimits
from clips.mp4_header import Header

SIGNATURE = b"\x1a\x45\xdf\xa3"
CODECS = frozenset((b"V_VP8", b"V_VP9", b"V_AV1", b"V_MPEG4/ISO/AVC", b"V_MPEGH/ISO/HEVC"))
MAX_PRIVATE = 1 << 16
"""Bytes of what a decoder is told beforehand."""
MAX_DETAIL = 256
"""Bytes of each description of the picture: its colours, how it is turned."""
MAX_REFERENCES = 8

_EBML, _DOC_TYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_INFO, _SCALE = 0x1549A966, 0x2AD7B1
_TRACKS, _TRACK, _TRACK_NUMBER, _TRACK_TYPE = 0x1654AE6B, 0xAE, 0xD7, 0x83
_CODEC, _PRIVATE, _ENCODINGS, _VIDEO = 0x86, 0x63A2, 0x6D80, 0xE0
_TRACK_UID, _FRAME_DURATION = 0x73C5, 0x23E383
_WIDTH, _HEIGHT = 0xB0, 0xBA
_CLUSTER, _TIME, _SIMPLE, _GROUP, _BLOCK = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1
_BLOCK_DURATION, _REFERENCE = 0x9B, 0xFB
_OF_TRACK = frozenset((_TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE, _CODEC, _PRIVATE, _FRAME_DURATION))
# Sizes, display size and its unit, interlacing, colours, projection (which turns).
_OF_VIDEO = frozenset((_WIDTH, _HEIGHT, 0x54B0, 0x54BA, 0x54B2, 0x9A, 0x55B0, 0x7670))
_TOP = frozenset((_INFO, _TRACKS, _CLUSTER, 0x114D9B74, 0x1C53BB6B, 0x1941A469, 0x1043A770)) | {
    0x1254C367
}
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_IS_VIDEO = 1
_LACING = 0x06


def read_webm(data: bytes, limits: ClipLimits) -> Header:
    """Read, check and rewrite a clip.

    Args:
        data: Begins with the signature.
        limits: See there.

    Raises:
        ClipError: See its codes.
    """
    limits.check(bytes=len(data))
    try:
        return _Reader(data, limits).read()
    except ElementError as error:
        raise ClipError("clip_invalid", f"not a WebM file: {error}") from error


class _Reader:
    def __init__(self, data: bytes, limits: ClipLimits) -> None:
        self._data = data
        self._limits = limits
        self._reader = ElementReader(data)
        self._scale = 1_000_000  # nanoseconds per tick
        self._track = 0
        self._entry = b""
        self._size = (0, 0)
        self._times: list[int] = []  # first, and last so far
        self._frames = 0
        self._is_cut = False

    def read(self) -> Header:
        segment = self._segment()
        clusters: list[bytes] = []
        try:
            for item in self._parts(segment.body, segment.end):
                self._is_cut |= item.is_cut
                self._read_part(item, clusters)
        except ElementError:
            if not clusters or self._reader.is_exhausted:
                raise
            self._is_cut = True  # damaged behind frames that can be shown
        if not self._track:
            code = "clip_truncated" if self._is_cut else "clip_invalid"
            raise ClipError(code, "no video track")
        info = element(_INFO, element(_SCALE, self._scale.to_bytes(8, "big")))
        tracks = element(_TRACKS, element(_TRACK, self._entry))
        head = element(_EBML, element(_DOC_TYPE, b"matroska"))
        whole = head + _SEGMENT.to_bytes(4, "big") + _UNKNOWN_SIZE + info + tracks
        return Header(whole + b"".join(clusters), *self._size, self._is_cut)

    def _read_part(self, item: Element, clusters: list[bytes]) -> None:
        if item.kind == _INFO:
            self._read_info(item)
        elif item.kind == _TRACKS and not self._track:
            self._read_tracks(item)
        elif item.kind == _CLUSTER:
            clusters.append(self._read_cluster(item))

    def _segment(self) -> Element:
        end = len(self._data)
        head = next(self._reader.elements(0, end), None)
        if head is None or head.is_cut or head.is_open:
            raise ElementError("no header")
        kinds = [
            self._data[item.body : item.end].rstrip(b"\0")
            for item in self._reader.elements(head.body, head.end)
            if item.kind == _DOC_TYPE
        ]
        if kinds not in ([b"webm"], [b"matroska"]):
            raise ElementError("of another type")
        for item in self._reader.elements(head.end, end):
            if item.kind == _SEGMENT:
                self._is_cut = item.is_cut
                return item
        raise ClipError("clip_truncated", "the file ends before its header")

    def _parts(self, start: int, end: int) -> Iterator[Element]:
        """Elements of the segment; one that is open ends where the next one begins."""
        while start < end:
            for item in self._reader.elements(start, end):
                if item.is_open:
                    item = self._closed(item)
                yield item
                start = item.end
                if item.end < end and item.is_open:
                    break
            else:
                return

    def _closed(self, item: Element) -> Element:
        if item.kind != _CLUSTER:
            raise ElementError("an element without an end")
        last = item.body
        try:
            for child in self._reader.elements(item.body, item.end):
                if child.kind in _TOP:
                    break
                last = child.end
        except ElementError:
            if self._reader.is_exhausted or last == item.body:
                raise
        return Element(item.kind, item.start, item.body, last, True, False)

    def _read_info(self, info: Element) -> None:
        for item in self._reader.elements(info.body, info.end):
            if item.kind == _SCALE:
                self._scale = self._reader.unsigned(item)
        if not 0 < self._scale <= 10**9:
            raise ElementError("an odd unit of time")

    def _read_tracks(self, tracks: Element) -> None:
        for track in self._reader.elements(tracks.body, tracks.end):
            if track.kind == _TRACK and not self._track:
                self._read_track(track)

    def _read_track(self, track: Element) -> None:
        kept: dict[int, bytes] = {}
        number = kind = 0
        for item in self._reader.elements(track.body, track.end):
            body = self._data[item.body : item.end]
            if item.kind == _TRACK_NUMBER:
                number = self._reader.unsigned(item)
            elif item.kind == _TRACK_TYPE:
                kind = self._reader.unsigned(item)
            elif item.kind == _VIDEO:
                kept[item.kind] = self._read_video(item)
            elif item.kind == _ENCODINGS:
                kept[item.kind] = body
            if item.kind in _OF_TRACK:
                kept[item.kind] = body
        if kind != _IS_VIDEO:
            return
        if kept.get(_CODEC, b"").rstrip(b"\0") not in CODECS:
            raise ClipError("clip_invalid", "a codec that is not supported")
        if _ENCODINGS in kept or len(kept.get(_PRIVATE, b"")) > MAX_PRIVATE or not number:
            raise ElementError("an odd track")
        if not self._size[0] or not self._size[1]:
            raise ElementError("a track without its size")
        self._track = number
        self._entry = b"".join(element(name, body) for name, body in kept.items())

    def _read_video(self, video: Element) -> bytes:
        kept: dict[int, bytes] = {}
        sizes = {_WIDTH: 0, _HEIGHT: 0}
        for item in self._reader.elements(video.body, video.end):
            if item.kind in sizes:
                sizes[item.kind] = self._reader.unsigned(item)
            if item.kind in _OF_VIDEO and item.end - item.body <= MAX_DETAIL:
                kept[item.kind] = self._data[item.body : item.end]
        self._size = sizes[_WIDTH], sizes[_HEIGHT]
        self._limits.check(pixels=self._size[0] * self._size[1])
        return b"".join(element(name, body) for name, body in kept.items())

    def _read_cluster(self, cluster: Element) -> bytes:
        base, kept = 0, []
        for item in self._reader.elements(cluster.body, cluster.end):
            if item.is_cut:
                self._is_cut = True
                break
            if item.kind == _TIME:
                base = self._reader.unsigned(item)
            elif item.kind == _SIMPLE and self._is_wanted(item, base):
                kept.append(element(_SIMPLE, self._data[item.body : item.end]))
            elif item.kind == _GROUP:
                kept += self._read_group(item, base)
        return element(_CLUSTER, element(_TIME, base.to_bytes(8, "big")) + b"".join(kept))

    def _read_group(self, group: Element, base: int) -> list[bytes]:
        kept, references, is_wanted = [], 0, False
        for item in self._reader.elements(group.body, group.end):
            references += item.kind == _REFERENCE
            if item.kind == _BLOCK and not is_wanted:
                is_wanted = self._is_wanted(item, base)
            elif item.kind != _BLOCK_DURATION and (
                item.kind != _REFERENCE or references > MAX_REFERENCES
            ):
                continue
            kept.append(element(item.kind, self._data[item.body : item.end]))
        return [element(_GROUP, b"".join(kept))] if is_wanted else []

    def _is_wanted(self, block: Element, base: int) -> bool:
        """Whether a block is a frame of the track; checks how many there are, and how long."""
        if block.end - block.body < 4 or self._reader.number(block.body) != self._track:
            return False
        at = block.body + number_length(self._data[block.body])
        if at + 3 > block.end:
            return False
        if self._data[at + 2] & _LACING:
            raise ElementError("several frames in one")
        self._frames += 1
        self._limits.check(frames=self._frames)
        time = base + int.from_bytes(self._data[at : at + 2], "big", signed=True)
        first, last = self._times or (time, time)
        self._times = [min(first, time), max(last, time)]
        self._limits.check(seconds=(self._times[1] - self._times[0]) * self._scale / 1e9)
        return True
