"""Crops are where the landmarks say, do not alias, and need only a part of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from faces.alignment import (
    SIDE,
    TEMPLATE,
    reduced,
    region_of,
    scale_of,
    shifted,
    similarity,
    warped,
)
from hypothesis import given
from hypothesis import strategies as st

from load_tests.peers.plain_faces import align


def matrix_of(turn: float, scale: float, x: float, y: float) -> np.ndarray:
    """Picture to crop: around the picture's (x, y), which becomes the crop's middle."""
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    turned = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack((turned, (np.array([55.5, 55.5]) - turned @ (x, y))[:, None]))


angles = st.floats(-3.1, 3.1)
scales = st.floats(0.05, 8)
shifts = st.floats(-500, 500)


@given(angles, scales, shifts, shifts)
def test_a_turned_and_scaled_template_is_found_exactly(
    turn: float, scale: float, x: float, y: float
) -> None:
    wanted = matrix_of(turn, scale, x, y)
    back = cv2.invertAffineTransform(wanted)
    landmarks = TEMPLATE @ back[:, :2].T + back[:, 2]
    assert np.allclose(similarity(landmarks), wanted, rtol=1e-6, atol=1e-6)
    assert scale_of(wanted) == pytest.approx(scale)


def test_noisy_landmarks_give_umeyamas_answer() -> None:
    """Against the singular value decomposition of the paper, through the crop it makes."""
    chance = np.random.default_rng(5)
    picture = cv2.GaussianBlur(chance.integers(0, 256, (300, 300, 3), np.uint8), (0, 0), 3)
    for _ in range(10):
        landmarks = TEMPLATE * 1.3 + 40 + chance.normal(0, 4, (5, 2))
        mine = cv2.warpAffine(picture, similarity(landmarks), (SIDE, SIDE))
        assert np.abs(mine.astype(int) - align(picture, landmarks)).max() <= 1


def test_landmarks_in_one_point_have_no_answer() -> None:
    with pytest.raises(ValueError, match="one point"):
        similarity(np.full((5, 2), 7.0))


def ramps(height: int, width: int) -> np.ndarray:
    """A picture whose colour tells the place: red grows to the right, green downwards."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float64)
    red, green = across * 255 / (width - 1), down * 255 / (height - 1)
    return np.stack((red, green, 0 * red), axis=2).astype(np.float32)


@pytest.mark.parametrize("scale", [0.11, 0.23, 0.37, 0.6, 1.0, 1.9])
def test_averaging_shifts_nothing(scale: float) -> None:
    """Crops of any fineness show the place that the similarity names."""
    image = ramps(1200, 1600)
    matrix = matrix_of(0.4, scale, 800, 600)
    back = cv2.invertAffineTransform(matrix)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    places = np.stack((columns, rows), axis=2) @ back[:, :2].T + back[:, 2]
    expected = places * [255 / 1599, 255 / 1199]
    inside = (places > 12).all(axis=2) & (places < (1587, 1187)).all(axis=2)
    for crop in (warped(image, matrix), warped(*reduced(image, matrix, 4.0))):
        # One step of the ramps is 0.16 and 0.21; OpenCV interpolates at 32nds of a pixel.
        assert np.abs(crop[..., :2] - expected)[inside].max() < 0.02


def test_fine_patterns_become_grey_and_no_other_pattern() -> None:
    image = np.random.default_rng(2).integers(0, 256, (900, 900, 3), np.uint8)
    matrix = matrix_of(0.1, 1 / 5.3, 450, 450)
    once = cv2.warpAffine(image, matrix, (SIDE, SIDE))
    assert once.std() > 45
    assert warped(image, matrix).std() < 18
    assert abs(warped(image, matrix).mean() - image.mean()) < 1


def test_the_part_of_a_picture_gives_the_crop_of_the_whole() -> None:
    chance = np.random.default_rng(1)
    image = cv2.GaussianBlur(chance.integers(0, 256, (700, 900, 3), np.uint8), (0, 0), 2)
    for matrix in (matrix_of(0.3, 0.4, 300, 300), matrix_of(-2, 0.3, 20, 690)):
        region = region_of(matrix, 700, 900, 8, 16)
        part = image[region]
        assert part.size < image.size
        again = warped(np.ascontiguousarray(part), shifted(matrix, region))
        assert np.abs(again.astype(int) - warped(image, matrix)).max() <= 1


@given(angles, st.floats(0.05, 3), st.floats(-300, 900), st.floats(-300, 700))
def test_a_part_is_never_empty_and_lies_inside(
    turn: float, scale: float, x: float, y: float
) -> None:
    rows, columns = region_of(matrix_of(turn, scale, x, y), 480, 640, 8, 16)
    assert 0 <= rows.start < rows.stop <= 480
    assert 0 <= columns.start < columns.stop <= 640


def test_outside_the_picture_is_black() -> None:
    crop = warped(np.full((100, 100, 3), 255, np.uint8), matrix_of(0, 1, 0, 0))
    assert not crop[:50].any()
    assert (crop[60:, 60:] == 255).all()
