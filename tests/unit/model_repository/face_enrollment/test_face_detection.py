"""Both families' predictions become the faces that were put into them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from face_detection import Detector, Faces, find_faces, keep_strongest, letterbox
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

ROOT = Path(__file__).resolve().parents[4]
CENTERFACE = Detector("centerface", (4,), 1, 32, 0.5, 0.3)
SCRFD = Detector("scrfd", (8, 16, 32), 2, 32, 0.5, 0.4)
SIZE = (96, 128)
BOX = np.array([36.0, 20.0, 76.0, 72.0])
LANDMARKS = np.array([[46.0, 40.0], [66.0, 41.0], [56.0, 50.0], [48.0, 60.0], [64.0, 61.0]])


def centerface_heads(box: np.ndarray, landmarks: np.ndarray, score: float) -> np.ndarray:
    """Predictions [places, 15] with one face, written down as CenterFace's training targets are."""
    rows, columns = SIZE[0] // 4, SIZE[1] // 4
    heads = np.zeros((rows, columns, 15), np.float32)
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = (box[0] + box[2]) / 8 - 0.5, (box[1] + box[3]) / 8 - 0.5
    column, row = int(x), int(y)
    shares = [
        share
        for mark in landmarks
        for share in ((mark[1] - box[1]) / height, (mark[0] - box[0]) / width)
    ]
    heads[row, column] = [
        score,
        np.log(height / 4),
        np.log(width / 4),
        y - row,
        x - column,
        *shares,
    ]
    return heads.reshape(-1, 15)


def scrfd_heads(
    box: np.ndarray, landmarks: np.ndarray, score: float, level: int, anchor: int
) -> np.ndarray:
    """Predictions with one face at the place of a stride that is nearest to its middle."""
    grids = []
    for number, stride in enumerate(SCRFD.strides):
        rows, columns = SIZE[0] // stride, SIZE[1] // stride
        grid = np.zeros((rows, columns, 2, 15), np.float32)
        if number == level:
            column = round((box[0] + box[2]) / 2 / stride)
            row = round((box[1] + box[3]) / 2 / stride)
            place = np.array([column, row]) * stride
            distances = np.concatenate((place - box[:2], box[2:] - place)) / stride
            points = (landmarks - place) / stride
            grid[row, column, anchor] = [score, *distances, *points.ravel()]
        grids.append(grid.reshape(-1, 15))
    return np.concatenate(grids)


def test_centerface_gives_back_the_face() -> None:
    faces = find_faces(centerface_heads(BOX, LANDMARKS, 0.9), SIZE, 1.0, CENTERFACE)
    assert np.allclose(faces.boxes, [BOX], atol=1e-3)
    assert np.allclose(faces.landmarks, [LANDMARKS], atol=1e-3)
    assert np.allclose(faces.scores, [0.9])


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("anchor", [0, 1])
def test_scrfd_gives_back_the_face_at_every_stride_and_anchor(level: int, anchor: int) -> None:
    faces = find_faces(scrfd_heads(BOX, LANDMARKS, 0.8, level, anchor), SIZE, 1.0, SCRFD)
    assert np.allclose(faces.boxes, [BOX], atol=1e-3)
    assert np.allclose(faces.landmarks, [LANDMARKS], atol=1e-3)


def test_faces_are_told_in_pixels_of_the_picture_before_it_was_fitted() -> None:
    faces = find_faces(scrfd_heads(BOX, LANDMARKS, 0.8, 1, 0), SIZE, 0.25, SCRFD)
    assert np.allclose(faces.boxes, [BOX * 4], atol=1e-2)
    assert np.allclose(faces.landmarks, [LANDMARKS * 4], atol=1e-2)


def test_one_face_seen_by_two_strides_is_one_face_and_the_surer_one() -> None:
    both = scrfd_heads(BOX, LANDMARKS, 0.7, 0, 0) + scrfd_heads(BOX + 2, LANDMARKS, 0.9, 1, 1)
    faces = find_faces(both, SIZE, 1.0, SCRFD)
    assert len(faces) == 1
    assert np.allclose(faces.boxes, [BOX + 2], atol=1e-3)


def test_two_faces_come_the_surer_one_first() -> None:
    aside = BOX * [0.25, 1, 0.25, 1]
    both = centerface_heads(BOX, LANDMARKS, 0.6) + centerface_heads(aside, LANDMARKS, 0.95)
    faces = find_faces(both, SIZE, 1.0, CENTERFACE)
    assert np.allclose(faces.scores, [0.95, 0.6])
    assert np.allclose(faces.boxes, [aside, BOX], atol=1e-3)


def test_unsure_places_are_no_faces() -> None:
    faces = find_faces(centerface_heads(BOX, LANDMARKS, 0.49), SIZE, 1.0, CENTERFACE)
    assert len(faces) == 0
    assert faces.landmarks.shape == (0, 5, 2)


def test_predictions_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="predictions"):
        find_faces(centerface_heads(BOX, LANDMARKS, 0.9), (96, 96), 1.0, CENTERFACE)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union, by the book."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


sides = st.integers(1, 60)
boxes = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), sides, sides), max_size=12)


@given(boxes=boxes, seed=st.integers(0, 99))
def test_suppression_keeps_apart_and_drops_only_what_a_stronger_one_covers(
    boxes: list[tuple[int, int, int, int]], seed: int
) -> None:
    places = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)
    scores = np.random.default_rng(seed).random(len(places)).astype(np.float32)
    kept = keep_strongest(places, scores, 0.4)
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    for number, one in enumerate(kept):
        assert all(overlap(places[one], places[other]) <= 0.401 for other in kept[number + 1 :])
    for dropped in set(range(len(places))) - set(kept.tolist()):
        assert any(
            overlap(places[dropped], places[one]) > 0.399 and scores[one] >= scores[dropped]
            for one in kept
        )


@given(height=st.integers(1, 1500), width=st.integers(1, 1500))
def test_fitting_keeps_the_shape_and_pads_with_black(height: int, width: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    canvas, scale = letterbox(image, 320, 32)
    assert [side % 32 for side in canvas.shape[:2]] == [0, 0]
    assert max(height, width) * scale <= 320.001
    filled = (canvas == 200).all(axis=2)
    rows, columns = filled.any(axis=1).sum(), filled.any(axis=0).sum()
    assert (rows, columns) == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert filled[:rows, :columns].all()
    assert not canvas[~filled].any()


def test_small_pictures_are_enlarged_no_more_than_twice() -> None:
    canvas, scale = letterbox(np.zeros((50, 60, 3), np.uint8), 640, 32)
    assert scale == 2.0
    assert canvas.shape == (128, 128, 3)


@given(
    height=st.integers(1, 1500),
    width=st.integers(1, 1500),
    side=st.sampled_from([320, 500, 608, 640, 960]),
)
def test_few_sizes_for_a_gpu(height: int, width: int, side: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    fine, coarse = letterbox(image, side, 32), letterbox(image, side, 32, 160)
    assert coarse[1] == fine[1]
    rows, columns = fine[0].shape[:2]
    np.testing.assert_array_equal(coarse[0][:rows, :columns], fine[0])
    assert coarse[0].sum() == fine[0].sum()  # the rest is black
    most = side + -side % 32  # a plan takes no more
    assert {one % 160 == 0 or one == most for one in coarse[0].shape[:2]} == {True}
    assert max(coarse[0].shape) <= most


@pytest.mark.parametrize("size", [(512, 330), (330, 300), (220, 200), (500, 390)])
def test_the_faces_are_the_same_in_few_sizes(size: tuple[int, int]) -> None:
    folder = ROOT / "model_repository" / "face_detector" / "1"
    if not (folder / "model.onnx").is_file():
        pytest.skip("not exported here")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    portrait = Image.open(ROOT / "docs" / "pictures" / "astronaut.jpg").convert("RGB")
    picture = portrait.crop((60, 0, 390, 330)).resize((size[1], size[0]))
    image = np.asarray(picture)
    seen = []
    for step in (1, 160):
        detector = Detector.read(folder, step)
        canvas, scale = letterbox(image, 640, detector.multiple, detector.step)
        (predictions,) = session.run(None, {"image": canvas[None]})[0]
        seen.append((canvas.shape, find_faces(predictions, canvas.shape[:2], scale, detector)))
    (fine, expected), (coarse, got) = seen
    assert coarse != fine
    assert len(got) == len(expected) == 1
    np.testing.assert_allclose(got.boxes, expected.boxes, atol=0.1)  # pixels of the picture
    np.testing.assert_allclose(got.landmarks, expected.landmarks, atol=0.1)
    np.testing.assert_allclose(got.scores, expected.scores, atol=1e-3)


def test_the_declaration_says_how_to_read(tmp_path: Path) -> None:
    facts = {
        "decoder": "scrfd",
        "strides": [8, 16, 32],
        "anchors": 2,
        "multiple": 32,
        "score_threshold": 0.5,
        "nms_iou": 0.4,
    }
    (tmp_path / "detector.json").write_text(json.dumps(facts))
    assert Detector.read(tmp_path) == SCRFD
    assert Detector.read(tmp_path, 160) == replace(SCRFD, step=160)
    (tmp_path / "detector.json").write_text(json.dumps({**facts, "decoder": "yolo"}))
    with pytest.raises(ValueError, match="yolo"):
        Detector.read(tmp_path)


def test_faces_are_picked_with_everything_of_theirs() -> None:
    faces = Faces(np.arange(8.0).reshape(2, 4), np.array([0.9, 0.8]), np.zeros((2, 5, 2)))
    assert faces.kept(np.array([1])).boxes.tolist() == [[4.0, 5.0, 6.0, 7.0]]
