"""Clips as phones, cameras and browsers make them: the same frames from every container."""

from __future__ import annotations

import contextlib
import io
import struct
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import pytest
from clips.display_matrix import upright
from clips.ebml_elements import element
from clips.errors import ClipError, ClipLimits
from clips.sampling import Sampling, sample_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import counting, encode, number_of
from tests.support.cpu_time import spent
from tests.support.mp4_edits import body_of, box, with_number

OPTIONS = {
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libx264": {"preset": "veryfast"},
}
KINDS = [
    ("mp4", "libx264"), ("mp4", "libx265"), ("mp4", "libvpx-vp9"), ("mp4", "libsvtav1"),
    ("mov", "libx264"), ("mov", "libx265"), ("3gp", "libx264"), ("3g2", "libx264"),
    ("ipod", "libx264"), ("f4v", "libx264"),
    ("webm", "libvpx"), ("webm", "libvpx-vp9"), ("webm", "libsvtav1"),
    ("matroska", "libx264"), ("matroska", "libx265"),
]  # fmt: skip
CLUSTER, SEGMENT = b"\x1f\x43\xb6\x75", b"\x18\x53\x80\x67"
UNKNOWN = b"\x01" + b"\xff" * 7


@cache
def clip(container: str = "mp4", codec: str = "libx264", movflags: str = "") -> bytes:
    return encode(
        counting(60), gop=20, codec=codec, container=container, movflags=movflags,
        options=OPTIONS[codec],
    )  # fmt: skip


def told(data: bytes, **limits: Any) -> tuple[list[int], list[int], float]:
    """Numbers of the frames that were looked at, those by their times, and the duration."""
    found = sample_clip(data, Sampling(ClipLimits(**limits), frames=6))
    return (
        [number_of(frame) for frame in found.frames],
        [round(at * 25) for at in found.timestamps],
        found.duration,
    )


def code_of(data: bytes, **limits: Any) -> str:
    with spent() as seconds, pytest.raises(ClipError) as caught:
        told(data, **limits)
    assert seconds[0] < 0.5
    return caught.value.code


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_containers_and_codecs(container: str, codec: str) -> None:
    numbers, by_times, duration = told(clip(container, codec))
    assert numbers == by_times
    assert len(numbers) == 6
    assert duration == pytest.approx(2.4, abs=0.05)


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_pictures_are_those_of_pyav(container: str, codec: str) -> None:
    data = clip(container, codec)
    with av.open(io.BytesIO(data)) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    found = sample_clip(data, Sampling(frames=6))
    for frame in found.frames:
        wanted = frames[number_of(frame)].astype(int)
        assert np.abs(frame.astype(int) - wanted).max() <= 2


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_limits_hold_in_every_container(container: str, codec: str) -> None:
    data = clip(container, codec)
    assert code_of(data, max_pixels=1000) == "clip_too_large"
    assert code_of(data, max_seconds=2) == "clip_too_long"
    assert code_of(data, max_frames=59) == "clip_too_long"
    assert code_of(data, max_bytes=100) == "clip_too_large"


def recorded(data: bytes) -> bytes:
    """A WebM as browsers send it while they record: nothing says how long it is."""
    head, *clusters = data.split(CLUSTER)
    at = head.index(SEGMENT) + 4
    head = head[:at] + UNKNOWN + head[at + 8 :]
    parts = []
    for part in clusters:
        width = 9 - part[0].bit_length()
        size = int.from_bytes(part[:width], "big") & (1 << 7 * width) - 1
        parts.append(CLUSTER + UNKNOWN + part[width : width + size])
    return head + b"".join(parts)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9", "libsvtav1"])
def test_a_recording_of_unknown_length(codec: str) -> None:
    data = recorded(clip("webm", codec))
    assert told(data) == told(clip("webm", codec))
    assert code_of(data, max_seconds=2) == "clip_too_long"
    found = sample_clip(data[: 2 * len(data) // 3], Sampling(frames=4))
    assert found.truncated
    assert 0.8 < found.duration < 2.2


def test_damage_behind_the_first_frames_is_told() -> None:
    found = sample_clip(recorded(clip("webm", "libvpx")) + b"\0garbage", Sampling(frames=4))
    assert found.truncated
    assert found.duration == pytest.approx(2.4, abs=0.05)


def header(*tracks: bytes, doc_type: bytes = b"webm") -> bytes:
    """A WebM of nothing but these tracks."""
    return element(0x1A45DFA3, element(0x4282, doc_type)) + element(
        0x18538067, element(0x1654AE6B, b"".join(tracks))
    )


def track(width: int, height: int, codec: bytes = b"V_VP8", **more: bytes) -> bytes:
    video = element(0xB0, width.to_bytes(4, "big")) + element(0xBA, height.to_bytes(4, "big"))
    return element(
        0xAE,
        element(0xD7, b"\1") + element(0x83, b"\1") + element(0x86, codec)
        + element(0xE0, video) + b"".join(more.values()),
    )  # fmt: skip


def test_odd_webm_files() -> None:
    assert code_of(b"\x1a\x45\xdf\xa3") == "clip_invalid"
    assert code_of(header(track(64, 48), doc_type=b"other")) == "clip_invalid"
    assert code_of(header()) == "clip_invalid"
    assert code_of(header(track(64, 48))) == "clip_invalid"  # no frame
    assert code_of(header(track(30_000, 30_000))) == "clip_too_large"
    assert code_of(header(track(64, 48, b"V_MS/VFW/FOURCC"))) == "clip_invalid"
    packed = element(0x6D80, b"")  # zlib would unpack each frame
    assert code_of(header(track(64, 48, packed=packed))) == "clip_invalid"
    private = element(0x63A2, bytes(1 << 17))
    assert code_of(header(track(64, 48, private=private))) == "clip_invalid"
    assert code_of(header(*[element(0xAE, b"")] * 200_000)) == "clip_invalid"
    assert code_of(header(track(64, 48)) + element(0xEC, b"") * 200_000) == "clip_invalid"
    assert code_of(clip("webm", "libvpx")[:60]) == "clip_truncated"


def test_a_webm_stream_larger_than_its_header_says() -> None:
    big = encode(
        [np.zeros((1088, 1920, 3), np.uint8)] * 2, codec="libvpx", container="webm",
        options=OPTIONS["libvpx"],
    )  # fmt: skip
    size = b"\xb0\x82" + struct.pack(">H", 1920) + b"\xba\x82" + struct.pack(">H", 1088)
    assert size in big
    small = big.replace(size, b"\xb0\x82" + struct.pack(">H", 64) + b"\xba\x82\0\x30")
    with pytest.raises(ClipError):
        told(small, max_pixels=640 * 480)


def packets(width: int, height: int) -> list[bytes]:
    data = encode(
        [np.full((height, width, 3), 90, np.uint8)] * 4, codec="libvpx", container="webm", gop=1,
        options=OPTIONS["libvpx"],
    )  # fmt: skip
    with av.open(io.BytesIO(data)) as opened:
        return [bytes(packet) for packet in opened.demux(video=0) if packet.size]


def test_a_recording_that_changes_its_size() -> None:
    """As browsers do when a call has less bandwidth."""
    blocks = [
        element(0xA3, b"\x81" + struct.pack(">h", 40 * number) + b"\x80" + packet)
        for number, packet in enumerate([*packets(64, 48), *packets(32, 24)])
    ]
    head = element(0x1A45DFA3, element(0x4282, b"webm"))
    cluster = element(0x1F43B675, element(0xE7, b"\0") + b"".join(blocks))
    tracks = element(0x1654AE6B, track(64, 48))
    found = sample_clip(head + element(0x18538067, tracks + cluster), Sampling(frames=8))
    assert found.frames.shape == (8, 48, 64, 3)
    assert np.abs(found.frames.astype(int) - 90).max() < 12


@settings(max_examples=120)
@given(st.data())
def test_damaged_webm_files_never_raise_anything_else(draws: st.DataObject) -> None:
    data = bytearray(clip("webm", draws.draw(st.sampled_from(["libvpx", "libvpx-vp9"]))))
    for _ in range(draws.draw(st.integers(1, 6))):
        data[draws.draw(st.integers(0, min(len(data) - 1, 600)))] = draws.draw(st.integers(0, 255))
    cut = draws.draw(st.integers(0, len(data)))
    with contextlib.suppress(ClipError):
        sample_clip(bytes(data[:cut]) if draws.draw(st.booleans()) else bytes(data), Sampling())


def from_ring_buffer(start: float) -> bytes:
    """Two seconds whose first frame has a late time, as of a camera that counts from its start."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=30, options=OPTIONS["libx264"])
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(counting(50)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(start * 1000) + 40 * number, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


@pytest.mark.parametrize("start", [0, 119, 900, 100_000])
def test_a_clip_out_of_a_ring_buffer_lasts_as_long_as_it_shows(start: float) -> None:
    numbers, by_times, duration = told(from_ring_buffer(start))
    assert duration == pytest.approx(2, abs=0.05)
    assert numbers == by_times
    assert code_of(from_ring_buffer(start), max_seconds=1.5) == "clip_too_long"


def test_a_part_of_a_longer_film() -> None:
    """Phones cut a film by its edit list: the rest stays in the file and is not shown."""
    data = with_number(clip(), b"elst", 8, 800)  # of 1000 a second
    numbers, by_times, duration = told(data, max_seconds=1.5)
    assert duration == pytest.approx(0.8, abs=0.05)
    assert max(numbers) < 21
    assert numbers == by_times
    assert code_of(data, max_seconds=0.5) == "clip_too_long"


def test_files_without_a_brand_and_of_odd_ones() -> None:
    data = clip("mov", movflags="frag_keyframe+empty_moov+default_base_moof")
    plain = data[int.from_bytes(data[:4], "big") :]
    for first in (b"", box(b"wide", b""), box(b"ftyp", b"XAVC" + bytes(4))):
        numbers, by_times, _ = told(first + plain)
        assert numbers == by_times


def marked() -> np.ndarray:
    """64x48, white in its upper left, red in its upper right, blue in its lower left."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32] = 255
    pixels[:24, 32:, 0] = 220
    pixels[24:, :32, 2] = 220
    return pixels


TURNS = [(a, b, c, d) for a, d in ((1, 1), (1, -1), (-1, 1), (-1, -1)) for b, c in ((0, 0),)] + [
    (0, b, c, 0) for b in (1, -1) for c in (1, -1)
]


def mapped(pixels: np.ndarray, turn: tuple[int, int, int, int]) -> np.ndarray:
    """Every pixel put where the matrix says: (x, y) goes to (ax + cy, bx + dy)."""
    a, b, c, d = turn
    down, across = np.indices(pixels.shape[:2])
    x, y = a * across + c * down, b * across + d * down
    x, y = x - x.min(), y - y.min()
    shown = np.zeros((y.max() + 1, x.max() + 1, 3), np.uint8)
    shown[y, x] = pixels
    return shown


@pytest.mark.parametrize("turn", TURNS)
def test_turned_and_mirrored_clips_are_shown_as_their_matrix_says(
    turn: tuple[int, int, int, int],
) -> None:
    a, b, c, d = (65536 * part for part in turn)
    data = encode([marked()] * 2, gop=1)
    at = body_of(data, b"tkhd") + 40
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 64 << 16, 64 << 16, 1 << 30)
    frame = sample_clip(data[:at] + matrix + data[at + 36 :], Sampling()).frames[0]
    wanted = mapped(marked(), turn)
    assert frame.shape == wanted.shape
    assert np.abs(frame.astype(int) - wanted).mean() < 12


def test_matrices_that_turn_nothing_by_a_quarter() -> None:
    pixels = marked()
    assert upright(pixels, None) is pixels
    for matrix in ((0,) * 9, (65536, 5000, 0, -5000, 65536, 0, 0, 0, 1 << 30)):
        np.testing.assert_array_equal(upright(pixels, matrix), pixels)
