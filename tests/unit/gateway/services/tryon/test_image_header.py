from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.services.tryon.image_header import NotAnImageError, read_header

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
SIDE = st.integers(1, 400)


def encoded(kind: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind, **options)
    return out.getvalue()


@settings(max_examples=60)
@given(st.sampled_from(sorted(KINDS)), SIDE, SIDE)
def test_as_pillow_reads_it(kind: str, width: int, height: int) -> None:
    found = read_header(io.BytesIO(encoded(kind, (width, height))))
    assert found == (KINDS[kind], width, height)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("JPEG", "RGB", {"progressive": True}),
     ("PNG", "P", {}), ("PNG", "RGBA", {}), ("PNG", "1", {}), ("WEBP", "RGBA", {}),
     ("WEBP", "RGB", {"lossless": True}), ("WEBP", "RGB", {"exif": b"Exif\0\0" + bytes(100)})],
)  # fmt: skip
def test_variants(kind: str, mode: str, options: dict[str, object]) -> None:
    found = read_header(io.BytesIO(encoded(kind, (301, 17), mode, **options)))
    assert found == (KINDS[kind], 301, 17)


def test_a_frame_header_behind_large_segments() -> None:
    plain = encoded("JPEG", (301, 17))
    segment = b"\xff\xe1" + (60_002).to_bytes(2, "big") + bytes(60_000)
    found = read_header(io.BytesIO(plain[:2] + 2 * segment + plain[2:]))
    assert found == ("image/jpeg", 301, 17)


@pytest.mark.parametrize(("count", "accepted"), [(1, True), (500, True), (5_000_000, False)])
def test_fill_bytes(count: int, accepted: bool) -> None:
    plain = encoded("JPEG", (301, 17))
    file = io.BytesIO(plain[:2] + b"\xff" * count + plain[2:])
    if accepted:
        assert read_header(file) == ("image/jpeg", 301, 17)
        return
    with pytest.raises(NotAnImageError):
        read_header(file)
    assert file.tell() < 2000  # not read on to find that out


@settings(max_examples=150)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_cut_or_broken_files_are_refused_or_read_but_never_crash(
    kind: str, data: st.DataObject
) -> None:
    whole = bytearray(encoded(kind, (40, 30)))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if cut:
            cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_header(io.BytesIO(bytes(cut)))
    except NotAnImageError:
        return
    assert found.width > 0
    assert found.height > 0


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"RIFF0000WEBP", b"\x89PNG"]))
def test_anything_else_is_no_picture(data: bytes, start: bytes) -> None:
    try:
        read_header(io.BytesIO(start + data))
    except NotAnImageError:
        return
    assert start + data


def test_a_bomb_is_seen_without_decoding_it() -> None:
    header = bytearray(encoded("PNG", (1, 1)))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    assert read_header(io.BytesIO(bytes(header))) == ("image/png", 60_000, 60_000)
