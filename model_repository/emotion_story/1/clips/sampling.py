"""Clip → a few RGB frames with their true times, at a bounded cost. PyAV and numpy."""

from __future__ import annotations

import io
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from clips.display_matrix import display_matrix, upright
from clips.errors import ClipError, ClipLimits
from clips.frame_choice import choose_frames, last_key
from clips.mp4_header import read_header
from clips.webm_header import SIGNATURE, read_webm

CODECS = frozenset(
    ["h264", "hevc", "mpeg4", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9"]
)
"""FFmpeg's names; every other decoder stays out of reach of strangers' bytes."""

av.logging.set_level(av.logging.PANIC)  # about odd files, to nobody in particular


@dataclass(frozen=True)
class Sampling:
    """How clips are looked at.

    Attributes:
        limits: What is refused.
        frames: Most frames of a clip.
        side: Longer side of the frames in pixels; smaller ones are not enlarged.
        threads: Of the decoder.
        max_decode_seconds: Wall time after which the decoder gives up.
    """

    limits: ClipLimits = field(default_factory=ClipLimits)
    frames: int = 16
    side: int = 640
    threads: int = 1
    max_decode_seconds: float = 15.0


@dataclass(frozen=True)
class SampledClip:
    """What was seen of a clip.

    Attributes:
        frames: UINT8 [n, height, width, 3], RGB, upright.
        timestamps: Their times in seconds from the first frame of the clip.
        duration: Of what the file holds, in seconds.
        truncated: Whether the file ends early or is damaged.
    """

    frames: NDArray[Any]
    timestamps: tuple[float, ...]
    duration: float
    truncated: bool


def sample_clip(data: bytes, sampling: Sampling) -> SampledClip:
    """Decode frames spread evenly over a clip.

    Raises:
        ClipError: See its codes.
    """
    is_webm = data.startswith(SIGNATURE)
    header = (read_webm if is_webm else read_header)(data, sampling.limits)
    # Also for the decoder that FFmpeg runs while it opens the file: a stream may say another size
    # than the header, and would get its memory.
    guard: Any = {"max_pixels": str(sampling.limits.max_pixels), "threads": "1"}
    try:
        with av.open(
            io.BytesIO(header.data),
            format="matroska" if is_webm else "mp4",
            stream_options=[guard],
            # What it looks for by decoding is not needed.
            container_options={"analyzeduration": "0", "enable_drefs": "0"},
            metadata_errors="replace",
        ) as container:
            return _Sampler(container, sampling, header.is_cut).sample()
    except FFmpegError as error:
        raise ClipError("clip_invalid", "the video cannot be read") from error


class _Sampler:
    def __init__(
        self, container: av.container.InputContainer, sampling: Sampling, is_cut: bool
    ) -> None:
        if not container.streams.video:
            raise ClipError("clip_invalid", "no video track")
        self._container = container
        self._sampling = sampling
        self._truncated = is_cut
        self._look: tuple[tuple[int, int], tuple[int, ...] | None] | None = None
        self._stream = container.streams.video[0]
        codec = self._stream.codec_context
        if codec is None or codec.name not in CODECS:
            raise ClipError("clip_invalid", "a codec that is not supported")
        sampling.limits.check(pixels=codec.width * codec.height)
        codec.options = {"max_pixels": str(sampling.limits.max_pixels)}
        codec.thread_type = "AUTO"
        codec.thread_count = sampling.threads

    def sample(self) -> SampledClip:
        times, keys = self._times()
        if not times:
            code = "clip_truncated" if self._truncated else "clip_invalid"
            raise ClipError(code, "no frame")
        if self._stream.time_base is None:
            raise ClipError("clip_invalid", "a stream without a unit of time")
        unit = float(self._stream.time_base)
        # The last frame lasts as long as frames do on average.
        whole = (times[-1] - times[0]) * unit
        rate = float(self._stream.average_rate or 25)
        duration = whole + (whole / (len(times) - 1) if len(times) > 1 else 1 / rate)
        self._sampling.limits.check(seconds=duration)
        wanted = choose_frames(times, keys, self._sampling.frames)
        decoded = list(self._decode(wanted, keys))
        if 2 * len(decoded) < len(wanted):
            raise ClipError("clip_invalid", "most of the video cannot be decoded")
        return SampledClip(
            frames=np.stack([pixels for _, pixels in decoded]),
            timestamps=tuple(round((at - times[0]) * unit, 3) for at, _ in decoded),
            duration=round(duration, 3),
            truncated=self._truncated or len(decoded) < len(wanted),
        )

    def _times(self) -> tuple[list[int], list[int]]:
        """Time of all frames and of key frames, from the packets alone."""
        times, keys = set(), set()
        try:
            for packet in self._container.demux(self._stream):
                if packet.size == 0:
                    continue  # the end
                if packet.is_corrupt:
                    self._truncated = True
                    break
                if packet.pts is None or packet.is_discard:
                    continue  # cut away by an edit
                times.add(packet.pts)
                if packet.is_keyframe:
                    keys.add(packet.pts)
                self._sampling.limits.check(frames=len(times))
        except FFmpegError:
            self._truncated = True
        return sorted(times), sorted(keys)

    def _decode(self, wanted: list[int], keys: list[int]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Time and pixels of the wanted frames, as far as they can be decoded."""
        end = time.monotonic() + self._sampling.max_decode_seconds
        place = 0
        while place < len(wanted):
            start = last_key(keys, wanted[place])
            self._container.seek(
                wanted[0] if start is None else start, stream=self._stream, backward=True
            )
            reached = place
            try:
                for frame in self._container.decode(self._stream):
                    if time.monotonic() > end:
                        raise ClipError("clip_too_long", "its frames take too long to decode")
                    if frame.pts is None or frame.pts < wanted[place]:
                        continue
                    at = bisect_left(wanted, frame.pts, place)
                    is_wanted = at < len(wanted) and wanted[at] == frame.pts
                    place = at + is_wanted
                    if is_wanted and not frame.is_corrupt:
                        yield frame.pts, self._pixels(frame)
                    if place == len(wanted) or last_key(keys, wanted[place]) not in (start, None):
                        break
            except FFmpegError:
                self._truncated = True
            if place == reached:  # nothing there: go on behind it
                place += 1

    def _pixels(self, frame: av.VideoFrame) -> NDArray[Any]:
        self._sampling.limits.check(pixels=frame.width * frame.height)
        # A stream may change its size on its way; all frames come in that of the first one.
        self._look = self._look or (self._size_of(frame), display_matrix(frame))
        (width, height), matrix = self._look
        pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
        return upright(pixels, matrix)

    def _size_of(self, frame: av.VideoFrame) -> tuple[int, int]:
        aspect = self._stream.sample_aspect_ratio
        # Wider or narrower than stored, where pixels are not square.
        width = frame.width * float(aspect or 1)
        scale = min(1.0, self._sampling.side / max(width, frame.height))
        return max(2, round(width * scale)), max(2, round(frame.height * scale))
