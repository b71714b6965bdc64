"""Faces that one view of the whole picture does not show, or shows wrongly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from face_detection import Detector, Faces
from faces.alignment import TEMPLATE
from faces.locating import Locator, Sighting, upright
from faces.views import around, tiles, turned_faces, turned_points, turned_size

DETECTOR = Detector("scrfd", (32,), 1, 32, 0.5, 0.4)
SIDE = 320
MARK = 200


class Eye:
    """A network that sees upright faces: a dark square with a bright bar below it.

    Attributes:
        views: Sizes of what it was shown.
        lying: Whether it takes faces that lie for upright ones, with a low score and wrong
            landmarks, as detectors do.
    """

    def __init__(self, lying: bool = False, smallest: int = 10) -> None:
        self.views: list[tuple[int, ...]] = []
        self.lying = lying
        self.smallest = smallest

    def __call__(self, canvas: np.ndarray) -> np.ndarray:
        self.views.append(canvas.shape)
        heads = np.zeros((canvas.shape[0] // 32 * (canvas.shape[1] // 32), 15), np.float32)
        seen = self._square(canvas)
        if seen is not None:
            (left, top, size), score, landmarks = seen
            box = np.array([left, top, left + size, top + size]) / 32
            heads[0] = [score, -box[0], -box[1], box[2], box[3], *(landmarks / 32).ravel()]
        return heads

    def _square(
        self, canvas: np.ndarray
    ) -> tuple[tuple[float, float, float], float, np.ndarray] | None:
        rows, columns = np.nonzero(canvas[..., 0] > MARK)
        if not len(rows):
            return None
        left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
        size = max(right - left, bottom - top) + 1
        if size < self.smallest:
            return None
        place = (float(left), float(top), float(size))
        upright = (
            bottom - top < right - left and canvas[max(0, top - 2), left + size // 2, 1] > MARK
        )
        if upright:
            return place, 0.9, TEMPLATE / 112 * size + (left, top)
        lying = (TEMPLATE - 56) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 56
        return (place, 0.8, lying / 112 * size + (left, top)) if self.lying else None


def picture(size: tuple[int, int], at: tuple[int, int], face: int) -> np.ndarray:
    """A red bar, which is a face's width, below a green one."""
    image = np.zeros((*size, 3), np.uint8)
    top, left = at
    image[top - face // 2 : top, left : left + face, 1] = 255
    image[top : top + face // 2, left : left + face, 0] = 255
    return image


def locate(
    image: np.ndarray,
    eye: Eye,
    extra: int = 30,
    go_on: Callable[[], None] = lambda: None,
) -> Sighting | None:
    return Locator(
        image, eye, DETECTOR, side=SIDE, rule="central", extra_views=extra, go_on=go_on
    ).locate()


def test_an_upright_face_costs_one_view() -> None:
    eye = Eye()
    seen = locate(picture((300, 320), (150, 100), 60), eye)
    assert seen is not None
    assert (seen.turns, len(eye.views)) == (0, 1)


@pytest.mark.parametrize("lying", [True, False])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_is_found_upright(turns: int, lying: bool) -> None:
    image = picture((240, 320), (120, 60), 64)
    eye = Eye(lying=lying)
    seen = locate(np.rot90(image, turns), eye)
    assert seen is not None
    assert (seen.turns + turns) % 4 == 0
    assert abs(seen.lean) < 1
    assert len(eye.views) <= 4
    # In pixels of the picture as it was sent.
    sent = upright(seen, np.rot90(image, turns).shape[:2])
    plain = locate(image, Eye())
    assert plain is not None
    expected = turned_points(plain.faces.landmarks, turns, image.shape[:2])
    assert np.allclose(sent.landmarks, expected, atol=1)


def test_small_faces_are_found_in_parts_of_a_finer_scale() -> None:
    image = picture((1500, 2000), (1100, 1700), 40)
    eye = Eye()
    seen = locate(image, eye)
    assert seen is not None
    left, top, right, _ = seen.faces.boxes[seen.chosen]
    assert (left, top) == pytest.approx((1700, 1100), abs=6)
    assert right - left == pytest.approx(40, abs=6)
    assert all(max(size) <= SIDE for size in eye.views)


def test_a_small_face_that_lies_is_turned() -> None:
    image = np.rot90(picture((1500, 2000), (1000, 1200), 60), 1)
    seen = locate(image, Eye(lying=True, smallest=14))
    assert seen is not None
    assert seen.turns == 3
    sent = upright(seen, image.shape[:2])
    left, top, *_ = sent.boxes[seen.chosen]
    assert (left, top) == pytest.approx((1000, 2000 - 1260), abs=45)


@pytest.mark.parametrize("extra", [0, 1, 5, 9, 200])
def test_an_empty_picture_costs_a_bounded_number_of_views(extra: int) -> None:
    eye = Eye()
    told = []
    image = np.zeros((3000, 4000, 3), np.uint8)
    assert locate(image, eye, extra, lambda: told.append(1)) is None
    assert len(eye.views) == 1 + min(extra, 3 + len(tiles((840, 1120), SIDE)))
    assert len(told) == len(eye.views) - 1
    assert all(max(size) <= SIDE for size in eye.views)


def test_small_pictures_have_no_finer_scale() -> None:
    eye = Eye()
    assert locate(np.zeros((300, 380, 3), np.uint8), eye) is None
    assert len(eye.views) == 4


def test_it_stops_when_nobody_waits_any_more() -> None:
    class GoneError(Exception):
        pass

    eye = Eye()

    def go_on() -> None:
        if len(eye.views) == 6:
            raise GoneError

    with pytest.raises(GoneError):
        locate(np.zeros((3000, 4000, 3), np.uint8), eye, 100, go_on)
    assert len(eye.views) == 6


def test_a_face_that_no_turn_makes_plausible_is_hopeless() -> None:
    def detect(canvas: np.ndarray) -> np.ndarray:
        heads = np.zeros((canvas.shape[0] * canvas.shape[1] // 1024, 15), np.float32)
        points = np.random.default_rng(5).uniform(1, 4, (5, 2))
        heads[0] = [0.9, -1, -1, 4, 4, *points.ravel()]
        return heads

    image = np.zeros((320, 320, 3), np.uint8)
    seen = Locator(
        image, detect, DETECTOR, side=SIDE, rule="central", extra_views=9, go_on=lambda: None
    ).locate()
    assert seen is not None
    assert seen.is_hopeless


@pytest.mark.parametrize("turns", [-3, -1, 0, 1, 2, 3])
def test_points_turn_with_their_picture(turns: int) -> None:
    image = np.zeros((5, 9))
    image[1, 6] = 1
    (y, x), *_ = np.argwhere(np.rot90(image, turns))
    point = turned_points(np.array([6.5, 1.5]), turns, (5, 9))
    assert point.tolist() == [x + 0.5, y + 0.5]
    faces = Faces(np.array([[6.0, 1.0, 8.0, 2.0]]), np.ones(1), np.zeros((1, 5, 2)))
    there = turned_faces(faces, turns, (5, 9))
    back = turned_faces(there, -turns, turned_size((5, 9), turns))
    assert np.allclose(back.boxes, faces.boxes)
    assert (there.boxes[:, 2:] > there.boxes[:, :2]).all()


@pytest.mark.parametrize("size", [(320, 320), (100, 3000), (1680, 2240), (321, 900), (1, 1)])
def test_tiles_cover_everything_and_overlap(size: tuple[int, int]) -> None:
    covered = np.zeros(size, int)
    parts = tiles(size, 320)
    for part in parts:
        assert covered[part].size
        covered[part] += 1
    assert covered.min() >= 1
    if len(parts) > 1:
        assert covered.max() >= 2


@pytest.mark.parametrize("box", [(-50, -50, 5, 5), (90, 90, 300, 300), (10, 10, 12, 12)])
def test_the_part_around_a_box_lies_in_the_picture(box: tuple[float, ...]) -> None:
    part = around(np.array(box), (100, 100), 2.0)
    assert np.zeros((100, 100))[part].size
