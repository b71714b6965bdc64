"""The thumbnail is a level portrait, wherever in whatever picture the face is."""

from __future__ import annotations

import io
import math

import cv2
import numpy as np
import pytest
from faces.thumbnail import SIDE, face_thumbnail
from PIL import Image


def shown(file: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(file))
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (SIDE, SIDE), "RGB")
    return np.asarray(picture).astype(int)


def eyes(middle: tuple[float, float], reach: float, turn: float = 0.0) -> np.ndarray:
    """Landmarks of which only the eyes matter."""
    step = np.array([math.cos(turn), math.sin(turn)]) * reach
    return np.array([middle - step, middle + step, middle, middle, middle])


@pytest.mark.parametrize("degrees", [-30, 0, 25])
def test_the_eyes_become_level(degrees: float) -> None:
    """A bright bar through both eyes lies across the thumbnail."""
    turn = math.radians(degrees)
    image = np.zeros((400, 500, 3), np.uint8)
    step = np.array([math.cos(turn), math.sin(turn)]) * 90
    ends = [tuple(int(v) for v in np.array([260, 190]) + side * step) for side in (-1, 1)]
    cv2.line(image, ends[0], ends[1], (255, 255, 255), 9)
    box = np.array([200.0, 130.0, 320.0, 250.0], np.float32)
    picture = shown(face_thumbnail(image, box, eyes((260, 190), 30, turn)))[4:124, 4:124]
    assert picture[55:66].mean() > 180
    assert picture[:48].max() < 60
    assert picture[74:].max() < 60


def test_a_wide_face_is_centred_on_white() -> None:
    image = np.full((300, 400, 3), (200, 30, 30), np.uint8)
    box = np.array([100.0, 120.0, 300.0, 180.0], np.float32)
    picture = shown(face_thumbnail(image, box, eyes((200, 150), 40)))
    assert (picture[:40] > 240).all()
    assert (picture[-40:] > 240).all()
    assert (np.abs(picture[50:78] - [200, 30, 30]) < 12).all()


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (120, 40_000, (39_900, 10, 39_980, 100)),
        (40_000, 120, (10, 39_900, 100, 39_980)),
        (50, 50, (-30, -40, 80, 90)),
        (50, 50, (60, 60, 70, 70)),
        (5000, 5000, (0, 0, 5000, 5000)),
        (20, 20, (10, 10, 10, 10)),
    ],
)
def test_any_place_in_any_picture(height: int, width: int, box: tuple[float, ...]) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    place = np.array(box, np.float32)
    middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
    picture = shown(face_thumbnail(image, place, eyes(middle, 3)))
    inside = 0 <= middle[0] < width and 0 <= middle[1] < height
    assert abs(picture[62:66, 62:66].mean() - 77) < 12 or not inside or height == 20
