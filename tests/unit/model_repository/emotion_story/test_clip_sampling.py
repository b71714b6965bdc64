"""Frames are the right ones with their true times; every broken clip has its code, quickly."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
from clips.errors import ClipError, ClipLimits
from clips.sampling import Sampling, sample_clip

from tests.support.clips import audio_only, carphone, counting, encode, flat, number_of, talking
from tests.support.cpu_time import spent
from tests.support.mp4_edits import with_number

FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


@cache
def counted(gop: int = 250, movflags: str = "", codec: str = "libx264") -> bytes:
    return encode(counting(100), gop=gop, movflags=movflags, codec=codec)


def code_of(data: bytes, **limits: float) -> str:
    with spent(time.process_time) as seconds, pytest.raises(ClipError) as caught:
        sample_clip(data, Sampling(ClipLimits(**limits)))
    assert seconds[0] < 0.5
    return caught.value.code


@pytest.mark.parametrize("gop", [1, 7, 30, 250])
@pytest.mark.parametrize("movflags", ["", FRAGMENTS])
def test_each_frame_is_the_one_of_its_time(gop: int, movflags: str) -> None:
    clip = sample_clip(counted(gop, movflags), Sampling(frames=10))
    assert clip.frames.shape == (10, 48, 64, 3)
    assert clip.duration == pytest.approx(4.0)
    assert not clip.truncated
    for frame, at in zip(clip.frames, clip.timestamps, strict=True):
        assert number_of(frame) == round(at * 25)
    assert np.diff(clip.timestamps).min() > 0.15


@pytest.mark.parametrize("codec", ["libx265", "mpeg4"])
def test_other_codecs(codec: str) -> None:
    clip = sample_clip(counted(codec=codec), Sampling(frames=4))
    assert [number_of(frame) for frame in clip.frames] == [round(at * 25) for at in clip.timestamps]


def test_threads_change_nothing() -> None:
    one, two = (sample_clip(counted(30), Sampling(frames=9, threads=n)) for n in (1, 2))
    np.testing.assert_array_equal(one.frames, two.frames)
    assert one.timestamps == two.timestamps


def test_variable_rate_keeps_true_times() -> None:
    times = [*range(0, 1000, 40), 3000, 6000, 9000]
    clip = sample_clip(encode(counting(28), times=times), Sampling(frames=5))
    for frame, at in zip(clip.frames, clip.timestamps, strict=True):
        assert at == pytest.approx(times[number_of(frame)] / 1000, abs=2e-3)
    assert clip.timestamps[-1] == pytest.approx(9, abs=0.01)


def test_short_clips() -> None:
    clip = sample_clip(encode(counting(1)), Sampling())
    assert clip.frames.shape[0] == 1
    assert clip.timestamps == (0.0,)
    assert clip.duration == pytest.approx(0.04)
    assert sample_clip(encode(counting(3)), Sampling()).frames.shape[0] == 3


def test_large_frames_are_made_smaller_and_small_ones_are_not_enlarged() -> None:
    wide = sample_clip(encode(flat(90, 1280, 720, 3)), Sampling(side=640))
    assert wide.frames.shape[1:] == (360, 640, 3)
    assert sample_clip(counted(), Sampling(side=640)).frames.shape[1:] == (48, 64, 3)


def test_pixels_that_are_not_square_are_made_so() -> None:
    # 176x144 with pixels of 128:117, as the header of the clip says.
    assert sample_clip(carphone(), Sampling(frames=1)).frames.shape == (1, 144, 193, 3)


def test_colours_stay_red_green_blue() -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 220
    frame = sample_clip(encode([red] * 3), Sampling()).frames[0]
    assert frame[..., 0].mean() > 200
    assert frame[..., 1:].max() < 40


def test_a_turned_clip_is_upright() -> None:
    marked = np.zeros((48, 64, 3), np.uint8)
    marked[:, :16] = 255  # bright at the left
    data = encode([marked] * 2, gop=1)
    # The matrix in tkhd (behind 40 bytes) that turns a quarter clockwise: left becomes top.
    turn = b"".join(
        number.to_bytes(4, "big", signed=True)
        for number in (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    )
    at = data.index(b"tkhd") + 4 + 40
    frame = sample_clip(data[:at] + turn + data[at + 36 :], Sampling()).frames[0]
    assert frame.shape == (64, 48, 3)
    assert frame[:12].mean() > 200
    assert frame[20:].mean() < 40


def test_broken_clips() -> None:
    assert code_of(b"") == "clip_empty"
    assert code_of(b"x" * 100) == "clip_invalid"
    assert code_of(audio_only()) == "clip_invalid"
    assert code_of(encode(flat(9), codec="mpeg2video")) == "clip_invalid"
    assert code_of(counted()[:-100]) == "clip_truncated"  # its header is at the end
    assert code_of(counted(), max_pixels=100) == "clip_too_large"
    assert code_of(counted(), max_seconds=3) == "clip_too_long"
    assert code_of(counted(), max_frames=99) == "clip_too_long"


def test_a_clip_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(ClipError, match=r"^clip_too_long: "):
        sample_clip(counted(), Sampling(max_decode_seconds=0))


def test_a_stream_larger_than_its_header_says_is_refused() -> None:
    data = encode(flat(90, 1920, 1088, 2))
    small = with_number(data, b"stsd", 8 + 8 + 24, 64 << 16 | 48)
    assert code_of(small, max_pixels=640 * 480) == "clip_too_large"


def test_damaged_frames_are_refused_or_flagged() -> None:
    data = bytearray(counted(10))
    start = data.index(b"mdat") + 4
    noise = np.random.default_rng(0).integers(0, 256, len(data), np.uint8).tobytes()
    end = data.index(b"moov") - 4
    damaged = start + 7 * (end - start) // 10
    data[damaged:end] = noise[damaged:end]
    clip = sample_clip(bytes(data), Sampling(frames=10))
    assert clip.truncated
    assert clip.timestamps[0] < 0.4
    data[start:end] = bytes(end - start)
    assert code_of(bytes(data)) == "clip_invalid"


@pytest.mark.parametrize("movflags", ["faststart", FRAGMENTS])
@pytest.mark.parametrize("share", [0.45, 0.7, 0.95])
def test_a_truncated_clip_is_told_as_far_as_it_goes(movflags: str, share: float) -> None:
    data = encode(talking(320, 240, 100), gop=10, movflags=movflags)
    clip = sample_clip(data[: int(share * len(data))], Sampling(frames=8))
    assert clip.truncated
    assert 0.2 < clip.duration < 3.9
    assert clip.timestamps[-1] <= clip.duration
    assert len(clip.frames) >= 4


def test_a_clip_of_15_seconds_costs_half_a_second_of_cpu() -> None:
    data = encode(talking(), options={"preset": "veryfast"})
    with spent() as seconds:
        clip = sample_clip(data, Sampling())
    assert seconds[0] <= 0.5
    assert clip.frames.shape == (16, 480, 640, 3)
    assert clip.duration == pytest.approx(15)
