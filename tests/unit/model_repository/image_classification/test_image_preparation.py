"""The crop's place and size for every shape; torchvision's own pixels are compared with Triton."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_preparation import FILTERS, MAX_ASPECT, Preparation
from PIL import Image

STANDARD = Preparation(224, 256, FILTERS["bilinear"])


@settings(max_examples=60)
@given(st.integers(1, 700), st.integers(1, 700))
def test_any_shape_becomes_the_square(width: int, height: int) -> None:
    got = STANDARD(Image.new("RGB", (width, height), (10, 20, 30)))
    assert got.shape == (224, 224, 3)
    assert got.dtype == np.uint8
    assert (got == (10, 20, 30)).all()


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000), (30_000, 100)])
def test_strips_cost_no_more_than_what_is_kept(size: tuple[int, int]) -> None:
    assert max(size) > MAX_ASPECT * min(size)
    assert STANDARD(Image.new("RGB", size, (9, 9, 9))).shape == (224, 224, 3)


def test_strips_show_their_middle_and_differ_by_one_level_at_most() -> None:
    width, height = 6000, 300
    across = np.linspace(0, 60, width)
    strip = np.repeat(np.sin(across)[None], height, axis=0)[..., None].repeat(3, axis=2)
    picture = Image.fromarray(((strip + 1) * 127).astype(np.uint8))
    whole = picture.resize((int(256 * width / height), 256), Image.Resampling.BILINEAR)
    left = round((whole.width - 224) / 2)
    expected = np.asarray(whole.crop((left, 16, left + 224, 240))).astype(int)
    assert np.abs(STANDARD(picture) - expected).max() <= 1


def test_the_centre_is_kept() -> None:
    marked = np.zeros((300, 900, 3), np.uint8)
    marked[145:155, 445:455] = 255
    got = STANDARD(Image.fromarray(marked)).astype(int).sum(axis=2)
    rows, columns = np.nonzero(got > 200)
    assert abs(rows.mean() - 111.5) < 1
    assert abs(columns.mean() - 111.5) < 1


def test_other_sizes_and_filters() -> None:
    prepare = Preparation(64, 64, FILTERS["bicubic"])
    random = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(prepare(Image.fromarray(random)), random)
