"""What a browser shows is read rightly by every service; what is not read is refused with why."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pictures.decoding import ImageError, decode
from PIL import Image
from story_images import decode_all

from gateway.services.tryon.image_header import NotAnImageError, read_header
from tests.media.picture_table import Case, cases
from tests.support.model_code import code_of

with code_of("tryon"):
    from tryon_errors import InputError
    from tryon_images import decode as tryon_decode

MAX_PIXELS = 2**26
TABLE = cases()
NAMES = sorted(TABLE)
SERVICES = ("vision", "faces", "emotions", "tryon")


def read_by(service: str, data: bytes) -> np.ndarray:
    """As the models call it."""
    if service == "vision":
        return np.asarray(decode(data, MAX_PIXELS))
    if service == "faces":
        return np.asarray(decode(data, MAX_PIXELS, srgb=True))
    if service == "emotions":
        return decode_all([data], MAX_PIXELS, 4096)[0]
    return np.asarray(tryon_decode(data, "person", 10 << 20, MAX_PIXELS).convert("RGB"))


def answer_for(case: Case, service: str) -> Image.Image | None:
    by_numbers = case.by_numbers if service == "vision" else None
    return by_numbers or case.shown


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].shown])
def test_what_is_read(name: str, service: str) -> None:
    case = TABLE[name]
    expected = answer_for(case, service)
    assert expected is not None
    if service not in case.services:
        with pytest.raises(InputError, match="no readable PNG, JPEG, WebP or AVIF"):
            read_by(service, case.data)
        return
    got = read_by(service, case.data)
    wanted = np.asarray(expected.convert("RGB")).astype(int)
    assert got.shape == wanted.shape
    apart = 0 if case.by_numbers and service == "vision" else case.apart
    differences = np.abs(got.astype(int) - wanted)
    assert differences.max() <= apart
    assert differences.mean() <= apart / 10


@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].by_numbers])
@pytest.mark.parametrize("service", ["faces", "emotions", "tryon"])
def test_a_patch_comes_back_as_it_went_in(name: str, service: str) -> None:
    case = TABLE[name]
    got = read_by(service, case.data)[4:16, 4:20].reshape(-1, 3).mean(axis=0)
    assert case.shown is not None
    wanted = np.asarray(case.shown)[4:16, 4:20].reshape(-1, 3).mean(axis=0)
    assert np.abs(got - wanted).max() < 6


@pytest.mark.parametrize("name", [name for name in NAMES if not TABLE[name].shown])
def test_what_is_refused(name: str) -> None:
    case = TABLE[name]
    for service in ("vision", "faces", "emotions"):
        with pytest.raises(ImageError) as caught:
            read_by(service, case.data)
        assert caught.value.code == case.code
    with pytest.raises(InputError):
        read_by("tryon", case.data)


@pytest.mark.parametrize("name", NAMES)
def test_the_gateway_is_as_tolerant_as_the_model_behind_it(name: str) -> None:
    case = TABLE[name]
    try:
        width, height = read_header(io.BytesIO(case.data))[1:]
    except NotAnImageError:
        assert case.shown is None or "tryon" not in case.services
        return
    assert "tryon" in case.services
    if case.shown is None:
        assert case.code == "image_truncated"  # which its header does not tell
    else:
        assert sorted((width, height)) == sorted(case.shown.size)


def test_which_of_several_pictures_it_was() -> None:
    good = TABLE["png"].data
    with pytest.raises(ImageError, match=r"^image_truncated: index=2: "):
        decode_all([good, good, TABLE["png half"].data], MAX_PIXELS, 64)


def test_transparency_stays_with_its_colours() -> None:
    clear = TABLE["png"].shown
    assert clear is not None
    clear = clear.copy()
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        file = io.BytesIO()
        clear.save(file, kind, **options)
        got = tryon_decode(file.getvalue(), "garment", 10 << 20, MAX_PIXELS)
        np.testing.assert_array_equal(np.asarray(got), np.asarray(clear))
