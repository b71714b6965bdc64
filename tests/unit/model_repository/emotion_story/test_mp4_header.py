"""Headers that promise too much are refused at once, and only one video track is left to FFmpeg."""

from __future__ import annotations

import contextlib
import io
from functools import cache

import av
import pytest
from clips.errors import ClipError, ClipLimits
from clips.mp4_boxes import BoxReader
from clips.mp4_header import read_header
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import audio_only, encode, flat
from tests.support.cpu_time import spent
from tests.support.mp4_edits import body_of, box, with_brands, with_number

LIMITS = ClipLimits(max_bytes=1 << 20, max_pixels=640 * 480, max_seconds=60, max_frames=500)
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


@cache
def clip(movflags: str = "") -> bytes:
    return encode(flat(90, count=50), gop=25, movflags=movflags)


def code_of(data: bytes, limits: ClipLimits = LIMITS) -> str:
    with spent() as seconds, pytest.raises(ClipError) as caught:
        read_header(data, limits)
    assert seconds[0] < 0.5
    assert str(caught.value).startswith(caught.value.code + ": ")
    return caught.value.code


def kinds_in(data: bytes) -> set[bytes]:
    """Kinds of all boxes that can be reached."""
    reader = BoxReader(data)
    found = set()
    todo = list(reader.boxes(0, len(data)))
    while todo:
        item = todo.pop()
        found.add(item.kind)
        if item.kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"):
            todo += reader.children(item)
    return found


@pytest.mark.parametrize("movflags", ["", "faststart", FRAGMENTS])
def test_a_good_clip_passes(movflags: str) -> None:
    header = read_header(clip(movflags), LIMITS)
    assert (header.width, header.height, header.is_cut) == (64, 48, False)
    with av.open(io.BytesIO(header.data), format="mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 50


def test_no_bytes_and_too_many() -> None:
    assert code_of(b"") == "clip_empty"
    assert code_of(clip(), ClipLimits(max_bytes=100)) == "clip_too_large"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"not an mp4 file at all",
        b"\x00" * 4096,
        b"\xff" * 4096,
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 4096,
        box(b"ftyp", b"isom" + bytes(4)),
        box(b"ftyp", b"isom" + bytes(4)) + box(b"moov", b""),
        box(b"ftyp", b"") + box(b"moov", b""),
    ],
)
def test_what_is_no_mp4(data: bytes) -> None:
    assert code_of(data) == "clip_invalid"


def test_any_brand_and_none() -> None:
    assert read_header(encode(flat(90), container="mov"), LIMITS).width == 64
    good = clip(FRAGMENTS)
    for brands in ((b"qt  ",), (b"heic", b"mif1"), (b"3gp6",), (b"XAVC", b"nosb"), ()):
        data = with_brands(good, *brands) if brands else good[int.from_bytes(good[:4], "big") :]
        assert read_header(data, LIMITS).width == 64


def test_another_container() -> None:
    assert code_of(encode(flat(90), container="avi")) == "clip_invalid"


def test_sound_without_picture() -> None:
    assert code_of(audio_only()) == "clip_invalid"


def test_a_huge_picture_is_refused_before_decoding() -> None:
    # Behind the counts of stsd and the header and first fields of avc1.
    huge = with_number(clip(), b"stsd", 8 + 8 + 24, 30_000 << 16 | 30_000)
    assert code_of(huge) == "clip_too_large"


@pytest.mark.parametrize("number", [36_000_000, 2**32 - 1])
@pytest.mark.parametrize("kind", [b"mvhd", b"mdhd"])
def test_a_duration_that_nothing_has_does_not_count(kind: bytes, number: int) -> None:
    """A clip out of a camera's ring buffer says the time since the camera was switched on."""
    assert read_header(with_number(clip(), kind, 16, number), LIMITS).width == 64


def with_edit(data: bytes, ticks: int) -> bytes:
    """`data` with another duration of its one edit."""
    assert data[body_of(data, b"elst") :][4:8] == b"\0\0\0\x01"
    return with_number(data, b"elst", 8, ticks)


def test_times_that_last_too_long_are_refused() -> None:
    long = with_number(clip(), b"stts", 12, 2**31)
    assert code_of(with_edit(long, 10**9)) == "clip_too_long"
    assert code_of(with_edit(long, 0)) == "clip_too_long"  # all of it is shown
    # Ten hours of which two seconds are shown.
    assert read_header(with_edit(long, 2000), LIMITS).width == 64


def test_a_ten_hour_duration_is_refused() -> None:
    data = with_number(with_number(clip(), b"mvhd", 12, 1), b"mdhd", 12, 1)  # ticks per second
    assert code_of(with_edit(data, 36_000)) == "clip_too_long"


def test_how_long_the_last_frame_lasts_does_not_count() -> None:
    data = clip()
    at = body_of(data, b"stts")
    assert data[at + 4 : at + 12] == (1).to_bytes(4, "big") + (50).to_bytes(4, "big")
    ticks = data[at + 12 : at + 16]
    table = [(1).to_bytes(4, "big"), (49).to_bytes(4, "big"), ticks]
    last = [(1).to_bytes(4, "big"), (2**31).to_bytes(4, "big")]
    assert code_of(with_edit(with_number(data, b"stts", 12, 2**31), 10**9)) == "clip_too_long"
    two = b"".join([(2).to_bytes(4, "big"), *table[1:], *last])
    grown = with_edit(data, 10**9)
    assert read_header(grown_box(grown, b"stts", at, two), LIMITS).width == 64


def grown_box(data: bytes, kind: bytes, at: int, body: bytes) -> bytes:
    """`data` with another body of a box inside moov, which stands behind the frames."""
    old = int.from_bytes(data[at - 8 : at - 4], "big") - 8 - 4  # without version and flags
    more = len(body) - old
    changed = bytearray(data[: at + 4] + body + data[at + 4 + old :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", kind):
        start = changed.rindex(name, 0, at) - 4
        size = int.from_bytes(changed[start : start + 4], "big") + more
        changed[start : start + 4] = size.to_bytes(4, "big")
    return bytes(changed)


def test_a_bomb_of_samples_is_refused() -> None:
    # Without a size for each, a few bytes make FFmpeg's table as long as they say.
    data = with_number(clip(), b"stsz", 4, 1)
    assert code_of(with_number(data, b"stsz", 8, 2**31)) == "clip_too_long"


def test_a_bomb_in_a_fragment_is_refused() -> None:
    data = with_number(clip(FRAGMENTS), b"trun", 0, 0)  # no field for each frame
    assert code_of(with_number(data, b"trun", 4, 2**31)) == "clip_too_long"


def test_a_table_longer_than_its_box_is_refused() -> None:
    assert code_of(with_number(clip(), b"stts", 4, 2**31)) == "clip_invalid"


def test_a_bomb_of_edits_is_refused() -> None:
    assert code_of(with_number(clip(), b"elst", 4, 2**31)) == "clip_invalid"


def test_a_bomb_of_boxes_is_refused() -> None:
    assert code_of(clip(FRAGMENTS) + box(b"free", b"") * 60_000) == "clip_invalid"


def test_other_tracks_and_metadata_are_hidden() -> None:
    data = clip(FRAGMENTS)
    extra = box(b"udta", b"secret") + box(b"meta", bytes(40)) + box(b"cmov", bytes(40))
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    grown = (
        data[:at] + (size + len(extra)).to_bytes(4, "big") + data[at + 4 : at + size] + extra
    ) + data[at + size :]
    seen = read_header(grown + box(b"uuid", bytes(16)), LIMITS).data
    assert len(seen) == len(grown) + 24
    assert kinds_in(grown) >= {b"udta", b"cmov", b"dinf", b"mfra"}
    assert kinds_in(seen).isdisjoint({b"udta", b"meta", b"cmov", b"uuid", b"dinf", b"mfra"})
    with av.open(io.BytesIO(seen), format="mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 50


def test_a_cut_file_is_flagged_where_its_header_is_in_front() -> None:
    data = clip("faststart")
    assert read_header(data[:-200], LIMITS).is_cut
    assert code_of(data[: body_of(data, b"moov") + 100]) == "clip_truncated"
    assert code_of(clip()[:-50]) == "clip_truncated"


def test_a_cut_fragment_is_left_out() -> None:
    data = clip(FRAGMENTS)
    last = data.rindex(b"moof")
    header = read_header(data[: last + 30], LIMITS)
    assert header.is_cut
    assert len(header.data) == last - 4


@settings(max_examples=300)
@given(st.data())
def test_damage_never_raises_anything_else(draws: st.DataObject) -> None:
    data = bytearray(clip(draws.draw(st.sampled_from(["", "faststart", FRAGMENTS]))))
    header = [at for at, byte in enumerate(data) if byte in b"mtscd"] or [0]
    for _ in range(draws.draw(st.integers(1, 6))):
        at = draws.draw(st.sampled_from(header)) + draws.draw(st.integers(-4, 12))
        data[at % len(data)] = draws.draw(st.integers(0, 255))
    cut = draws.draw(st.integers(0, len(data)))
    with contextlib.suppress(ClipError):
        read_header(bytes(data[:cut]) if draws.draw(st.booleans()) else bytes(data), LIMITS)
