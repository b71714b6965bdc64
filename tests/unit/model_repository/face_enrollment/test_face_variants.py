"""The variants of a region are those of the whole picture, as the replaced server made them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from faces.alignment import SIDE, warped
from faces.variants import NAMES, face_crops

from load_tests.peers.plain_faces import variants

# A face of 250 pixels, 2.2 pixels of the picture per pixel of the crop, a little turned.
MATRIX = np.array([[0.44, -0.08, -90.0], [0.08, 0.44, -130.0]])


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Soft coloured noise of 640 x 480 with the contrast of a photograph."""
    chance = np.random.default_rng(3)
    noise = cv2.GaussianBlur(chance.normal(0, 1, (480, 640, 3)), (0, 0), 4)
    return np.clip(120 + noise / noise.std() * 50, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["original", "bright", "warm", "compressed"])
def test_a_variant_is_the_crop_of_the_altered_picture(picture: np.ndarray, name: str) -> None:
    place = NAMES.index(name)
    whole = list(variants(picture))[place]
    crop = face_crops(picture, MATRIX, varied=True)[place]
    difference = np.abs(crop.astype(int) - warped(whole, MATRIX))
    # Hue and saturation are tabulated in whole numbers by both; JPEG blocks lie in the same grid.
    assert difference.max() <= 2
    assert difference.mean() < 0.2


def test_blurring_leaves_the_alignment_where_it_was(picture: np.ndarray) -> None:
    blurred = cv2.GaussianBlur(picture, (5, 5), 0)
    crop = face_crops(picture, MATRIX, varied=True)[NAMES.index("blur_shift")]
    assert np.abs(crop.astype(int) - warped(blurred, MATRIX)).max() <= 1


def test_the_dark_variant_has_the_documented_light_and_noise() -> None:
    grey = np.full((480, 640, 3), 150, np.uint8)
    unscaled = np.array([[1.0, 0, -200], [0, 1.0, -150]])  # every pixel of the crop is one
    dark = face_crops(grey, unscaled, varied=True)[NAMES.index("dark_noisy")].astype(float)
    assert dark.mean() == pytest.approx(120, abs=0.5)
    assert dark.std() == pytest.approx(12, rel=0.03)


def test_without_variants_there_is_the_original_only(picture: np.ndarray) -> None:
    alone = face_crops(picture, MATRIX, varied=False)
    assert alone.shape == (1, SIDE, SIDE, 3)
    assert np.array_equal(alone[0], face_crops(picture, MATRIX, varied=True)[0])


def test_crops_are_the_same_every_time(picture: np.ndarray) -> None:
    first, again = (face_crops(picture, MATRIX, varied=True) for _ in range(2))
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert len({crop.tobytes() for crop in first}) == len(NAMES)


@pytest.mark.parametrize(
    ("height", "width", "matrix"),
    [
        (1, 1, np.array([[30.0, 0, 0], [0, 30.0, 0]])),
        (40, 3000, np.array([[0.05, 0, 0], [0, 0.05, 40]])),
        (5000, 4000, np.array([[0.02, 0.02, -10], [-0.02, 0.02, 30]])),
    ],
)
def test_faces_of_any_size_are_cropped(height: int, width: int, matrix: np.ndarray) -> None:
    crops = face_crops(np.full((height, width, 3), 90, np.uint8), matrix, varied=True)
    assert crops.shape == (6, SIDE, SIDE, 3)
