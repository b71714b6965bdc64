"""Every kind of picture gets its report, and only a face gets crops."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from face_detection import Detector
from faces.alignment import TEMPLATE
from faces.search import SearchOptions, search
from PIL import Image

DETECTOR = Detector("scrfd", (32,), 1, 32, 0.5, 0.4)
OPTIONS = SearchOptions(
    detection_side=320, rule="central", min_face=20, varied=True, max_pixels=1_000_000
)
SIZE = (640, 480)
BOX = np.array([160.0, 120.0, 384.0, 344.0])
MARKS = TEMPLATE * 2 + (160, 120)


def jpeg(color: tuple[int, int, int] = (180, 120, 60), size: tuple[int, int] = SIZE) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "JPEG")
    return file.getvalue()


def seeing(box: np.ndarray, marks: np.ndarray, score: float = 0.9) -> object:
    """A network that sees one face, given in pixels of a picture of SIZE."""

    def detect(canvas: np.ndarray) -> np.ndarray:
        assert canvas.shape == (256, 320, 3)
        heads = np.zeros((80, 15), np.float32)
        small, points = box / 2 / 32, marks / 2 / 32
        heads[0] = [score, -small[0], -small[1], small[2], small[3], *points.ravel()]
        return heads

    return detect


def nothing(canvas: np.ndarray) -> np.ndarray:
    return np.zeros((canvas.shape[0] * canvas.shape[1] // 1024, 15), np.float32)


def test_a_face_is_found_cropped_and_reported() -> None:
    found = search(jpeg(), seeing(BOX, MARKS), DETECTOR, OPTIONS, with_thumbnail=True)
    assert found.crops is not None
    assert found.crops.shape == (6, 112, 112, 3)
    report = json.loads(json.dumps(found.report()))
    assert report["face"]
    assert report["used"]
    assert report["reason"] is None
    assert report["score"] == pytest.approx(0.9)
    assert report["box"] == pytest.approx([160, 120, 224, 224], abs=0.1)
    assert report["faces"] == 1
    assert np.allclose(report["landmarks"], MARKS, atol=0.1)


def test_the_thumbnail_shows_the_face_alone() -> None:
    picture = Image.new("RGB", SIZE, "blue")
    picture.paste("red", tuple(BOX.astype(int)))
    file = io.BytesIO()
    picture.save(file, "PNG")
    found = search(file.getvalue(), seeing(BOX, MARKS), DETECTOR, OPTIONS, with_thumbnail=True)
    assert found.thumbnail is not None
    thumbnail = np.asarray(Image.open(io.BytesIO(found.thumbnail)))
    assert thumbnail.shape == (128, 128, 3)
    assert (np.abs(thumbnail[4:-4, 4:-4].astype(int) - [254, 0, 0]) < 12).all()


def test_only_the_asked_picture_makes_a_thumbnail() -> None:
    found = search(jpeg(), seeing(BOX, MARKS), DETECTOR, OPTIONS, with_thumbnail=False)
    assert found.thumbnail is None


def test_without_a_face_the_thumbnail_is_the_whole_picture_on_white() -> None:
    found = search(jpeg((0, 0, 200)), nothing, DETECTOR, OPTIONS, with_thumbnail=True)
    assert found.crops is None
    assert found.report() == {
        "face": False,
        "score": None,
        "box": None,
        "faces": 0,
        "landmarks": None,
        "used": False,
        "reason": "no_face",
    }
    assert found.thumbnail is not None
    thumbnail = np.asarray(Image.open(io.BytesIO(found.thumbnail))).astype(int)
    assert (thumbnail[:12] > 240).all()
    assert (np.abs(thumbnail[20:108] - [0, 0, 200]) < 15).all()


def test_small_pictures_are_not_enlarged_into_the_thumbnail() -> None:
    small = jpeg((0, 0, 200), (20, 10))
    found = search(small, nothing, DETECTOR, OPTIONS, with_thumbnail=True)
    assert found.thumbnail is not None
    thumbnail = np.asarray(Image.open(io.BytesIO(found.thumbnail))).astype(int)
    assert (
        (thumbnail[..., 0] < 100).sum(axis=1).max(),
        (thumbnail[..., 0] < 100).sum(axis=0).max(),
    ) == (20, 10)


def test_a_face_that_is_too_small_is_seen_but_not_used() -> None:
    tiny, marks = BOX / 12, MARKS / 12
    found = search(jpeg(), seeing(tiny, marks), DETECTOR, OPTIONS, with_thumbnail=False)
    report = found.report()
    assert (report["face"], report["used"], report["reason"]) == (True, False, "face_too_small")
    assert found.crops is None


def noisy_jpeg() -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image_empty"),
        (b"not a picture", "image_invalid"),
        (noisy_jpeg()[:9000], "image_truncated"),
        (jpeg(size=(1001, 1000)), "image_too_large"),
    ],
)
def test_what_is_no_picture_has_its_reason(data: bytes, reason: str) -> None:
    def unasked(_: np.ndarray) -> np.ndarray:
        raise AssertionError("the network was asked")

    found = search(data, unasked, DETECTOR, OPTIONS, with_thumbnail=True)
    assert found.reason == reason
    assert (found.crops, found.thumbnail) == (None, None)
