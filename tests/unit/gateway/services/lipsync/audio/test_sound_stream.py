"""Sound that comes in pieces is heard as the same sound at once."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.services.lipsync.audio.alignment import per_frame
from gateway.services.lipsync.audio.features import mel_windows
from gateway.services.lipsync.audio.mel import Floats
from gateway.services.lipsync.audio.samples import Resampling, SamplesError
from gateway.services.lipsync.audio.sound_stream import SoundStream, sound_frame

ENCODER = np.random.default_rng(0).normal(0, 0.01, (1280, 512)).astype(np.float32)


def encoded(windows: Floats) -> Floats:
    """A linear encoder: any window has a vector of its own."""
    return np.asarray(windows.reshape(len(windows), -1) @ ENCODER, np.float32)


def at_once(sound: Floats) -> Floats:
    """Features of all frames, as for one call."""
    frames = -(-len(sound) // 640)
    found, rows = mel_windows(memoryview(sound.tobytes()), frames)
    return per_frame(encoded(found), rows, frames)


def drained(stream: SoundStream, most: int = 7) -> list[Floats]:
    """All features that can be known."""
    found = []
    while len(windows := stream.windows(most)):
        stream.encoded(encoded(windows))
        while count := min(3, stream.ready()):
            found.extend(stream.take(count))
    while count := min(3, stream.ready()):
        found.extend(stream.take(count))
    return found


def in_pieces(sound: Floats, pieces: list[int], first: int = 0) -> list[Floats]:
    stream, found = SoundStream(first), []
    for piece in np.split(sound[sound_frame(first) * 640 :], np.cumsum(pieces)):
        stream.add(piece)
        found.extend(drained(stream))
    stream.end()
    return found + drained(stream)


def noise(samples: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.2, samples).astype(np.float32)


@pytest.mark.parametrize("samples", [1, 640, 2999, 3000, 3600, 6400, 16_000, 31_999, 40_123])
def test_pieces_of_any_size_give_what_the_whole_gives(samples: int) -> None:
    sound = noise(samples)
    expected = at_once(sound)
    for pieces in ([], [1] * 5, [639, 641, 3000], [samples // 2], [320] * 30):
        found = in_pieces(sound, [size for size in pieces if size])
        assert len(found) == len(expected)
        np.testing.assert_allclose(np.stack(found), expected, atol=2e-4)


@pytest.mark.parametrize("first", [1, 4, 9, 10, 11, 14, 15, 23, 40, 61])
def test_a_stream_that_begins_again_goes_on_as_if_nothing_had_been(first: int) -> None:
    sound = noise(40_123, seed=2)
    found = in_pieces(sound, [700] * 20, first)
    np.testing.assert_allclose(np.stack(found), at_once(sound)[first:], atol=2e-4)
    assert first - 15 < sound_frame(first) <= max(0, first - 10)


def test_frames_come_while_the_sound_still_does_and_little_is_kept() -> None:
    stream, taken = SoundStream(), 0
    for frame in range(500):
        stream.add(noise(640, seed=frame))
        taken += len(drained(stream))
        assert frame + 1 - taken <= 12  # half a second: what a frame hears after itself
        assert len(stream._samples) < 16_000
        assert len(stream._vectors) < 40
    assert stream.frames == 500
    assert 0 < stream.seconds_waiting <= 0.5


@pytest.mark.parametrize("first", [0, 1, 9, 23])
@pytest.mark.parametrize("piece", [1, 199, 640, 777, 3000])
def test_what_could_be_ready_is_known_before_it_is_encoded(piece: int, first: int) -> None:
    stream, sound = SoundStream(first), noise(24_000)[sound_frame(first) * 640 :]
    chance, reached = np.random.default_rng(first), 0
    pieces = (
        np.split(sound, range(piece, len(sound), piece)) if piece > 1 else [sound[:1], sound[1:]]
    )
    for number in range(len(pieces) + 1):
        if number < len(pieces):
            stream.add(pieces[number])
        else:
            stream.end()
        could = stream.within_reach()
        assert could >= stream.ready()
        if (could and chance.random() < 0.3) or number == len(pieces):
            while len(windows := stream.windows(25)):
                stream.encoded(encoded(windows))
            assert stream.ready() == could
            reached += could
            stream.take(could)
    assert reached > 10


def test_samples_in_both_formats_are_the_same_sound() -> None:
    values = np.arange(-32768, 32768, 97, dtype="<i2")
    whole = Resampling("PCM16", 16_000).samples(values.tobytes())
    floats = Resampling("FLOAT32", 16_000)
    np.testing.assert_array_equal(whole, floats.samples((values / 32768).astype("<f4").tobytes()))
    assert not len(floats.rest())


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 192_000])
def test_a_tone_keeps_its_pitch_its_length_and_its_loudness(rate: int) -> None:
    time = np.arange(rate) / rate
    tone = (16_000 * np.sin(2 * np.pi * 1000 * time)).astype("<i2")
    resampling = Resampling("PCM16", rate)
    pieces = [
        resampling.samples(tone[start : start + 777].tobytes()) for start in range(0, rate, 777)
    ]
    made = np.concatenate([*pieces, resampling.rest()])
    assert abs(len(made) - 16_000) <= 1
    wanted = 16_000 / 32768 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    assert np.abs(made[200:15_800] - wanted[200:15_800]).max() < 0.01


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("size", [1, 3, 777, 50_000])
def test_how_sound_is_cut_makes_no_difference(rate: int, size: int) -> None:
    sound = noise(rate // 10 + 7)
    whole, cut = Resampling("FLOAT32", rate), Resampling("FLOAT32", rate)
    expected = np.concatenate([whole.samples(sound.tobytes()), whole.rest()])
    pieces = [
        cut.samples(sound[start : start + size].tobytes()) for start in range(0, len(sound), size)
    ]
    np.testing.assert_array_equal(np.concatenate([*pieces, cut.rest()]), expected)
    assert len(expected) == round(len(sound) * 16_000 / rate)


@pytest.mark.parametrize("rate", [8_000, 48_000, 192_000])
def test_resampled_sound_is_a_few_milliseconds_late(rate: int) -> None:
    """Of 20 ms all but the delay come at once."""
    made = Resampling("FLOAT32", rate).samples(noise(rate // 50).tobytes())
    assert len(made) >= 320 - 48


def test_nothing_came_so_nothing_is_left() -> None:
    assert not len(Resampling("PCM16", 48_000).rest())


@pytest.mark.parametrize(
    ("kind", "piece", "words"),
    [
        ("PCM16", b"abc", "3 bytes"),
        ("FLOAT32", b"ab", "2 bytes"),
        ("FLOAT32", b"\0\0\xc0\x7f", "finite"),
    ],
)
def test_what_is_no_sound_is_said(kind: str, piece: bytes, words: str) -> None:
    with pytest.raises(SamplesError, match=words):
        Resampling(kind, 16_000).samples(piece)  # type: ignore[arg-type]
    for rate in (0, 7_999, 192_001, -1):
        with pytest.raises(SamplesError, match="sample rate"):
            Resampling(kind, rate)  # type: ignore[arg-type]
