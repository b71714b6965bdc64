"""Faces are found, cropped and read with stand-ins for the networks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from face_detection import Detector
from stories.face_crops import square_crop
from stories.face_reading import MAX_FACES, CancelledError, FaceReader

DETECTOR = Detector("centerface", (4,), 1, 32, 0.5, 0.3)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def reader(executor: ThreadPoolExecutor, sides: dict[tuple[int, int], float]) -> FaceReader:
    """One whose detector finds squares of these sides at these places (row, column) of its grid,
    and whose classifier answers the mean brightness of a crop."""

    def detect(images: np.ndarray) -> np.ndarray:
        _, height, width, _ = images.shape
        grid = np.zeros((height // 4, width // 4, 15), np.float32)
        for (row, column), side in sides.items():
            grid[row, column, :3] = 0.9, np.log(side / 4), np.log(side / 4)
        return grid.reshape(1, -1, 15)

    def classify(crops: np.ndarray) -> np.ndarray:
        assert crops.shape[1:] == (32, 32, 3)
        return crops.mean(axis=(1, 2, 3))[:, None] / 255

    return FaceReader(detect, classify, DETECTOR, 256, 32, executor)


def test_faces_come_with_their_expressions_the_largest_first(executor: ThreadPoolExecutor) -> None:
    image = np.zeros((128, 256, 3), np.uint8)
    image[:, 128:] = 200
    (found,) = reader(executor, {(16, 12): 32.0, (16, 48): 48.0}).read([image], lambda: False)
    np.testing.assert_allclose(found.boxes[:, 2] - found.boxes[:, 0], [48, 32], rtol=1e-5)
    np.testing.assert_allclose(found.probabilities[:, 0], [200 / 255, 0], atol=0.01)


def test_each_picture_has_its_own_faces_in_order(executor: ThreadPoolExecutor) -> None:
    images = [np.full((64, 256, 3), 10 * number, np.uint8) for number in range(9)]
    found = reader(executor, {(8, 20): 40.0}).read(images, lambda: False)
    values = [float(faces.probabilities[0, 0]) * 255 for faces in found]
    np.testing.assert_allclose(values, range(0, 90, 10), atol=0.5)


def test_faces_that_are_too_small_or_outside_are_left_out(executor: ThreadPoolExecutor) -> None:
    image = np.zeros((70, 256, 3), np.uint8)  # the detector sees 96 rows
    (found,) = reader(executor, {(8, 10): 8.0, (22, 30): 30.0}).read([image], lambda: False)
    assert found.boxes.shape == (0, 4)


def test_a_crowd_is_bounded(executor: ThreadPoolExecutor) -> None:
    crowd = {(row, column): 20.0 for row in (5, 20) for column in range(5, 60, 8)}
    (found,) = reader(executor, crowd).read([np.zeros((128, 256, 3), np.uint8)], lambda: False)
    assert len(found.boxes) == MAX_FACES


def test_nobody_waiting_ends_the_work(executor: ThreadPoolExecutor) -> None:
    with pytest.raises(CancelledError):
        reader(executor, {}).read([np.zeros((64, 64, 3), np.uint8)], lambda: True)


def test_an_error_of_a_network_is_passed_on(executor: ThreadPoolExecutor) -> None:
    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("down")

    broken = FaceReader(fail, fail, DETECTOR, 256, 32, executor)
    with pytest.raises(RuntimeError, match="down"):
        broken.read([np.zeros((64, 64, 3), np.uint8)] * 5, lambda: False)


def test_a_crop_is_the_square_around_the_longer_side() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[20:80, 20:80] = 255
    assert square_crop(image, np.array([30, 20, 70, 80], np.float32), 24).min() == 255
    assert square_crop(image, np.array([30, 20, 70, 80], np.float32), 24).shape == (24, 24, 3)
    half = square_crop(image, np.array([50, 20, 110, 80], np.float32), 60)
    assert half[:, :29].min() == 255
    assert half[:, 31:].max() == 0


def test_a_crop_beyond_the_border_repeats_it() -> None:
    image = np.full((50, 50, 3), 77, np.uint8)
    np.testing.assert_array_equal(square_crop(image, np.array([-30, -30, 40, 40.0]), 16), 77)
    with pytest.raises(ValueError, match="outside"):
        square_crop(image, np.array([200, 200, 240, 240.0]), 16)
