"""Pictures → what a face detector takes, and what it answers → faces. numpy and OpenCV only.

Shared by every model that calls `face_detector` (links). The network gives 15 numbers for every
place of a grid, whatever its family; `1/detector.json` of the network says how to read them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_ENLARGEMENT = 2.0
"""Small pictures are enlarged no further: beyond, the network sees blur and takes longer."""

DECLARATION = "detector.json"


@dataclass(frozen=True)
class Detector:
    """How to use a detector network, as its export declared it.

    Attributes:
        decoder: Family of the network, `centerface` or `scrfd`.
        strides: Pixels between grid places, one grid each, in order of the predictions.
        anchors: Predictions at each place.
        multiple: Sides of its input are multiples of this, in pixels.
        score_threshold: Faces below it are dropped.
        nms_iou: Of two faces that overlap more (intersection over union), the weaker is dropped.
        step: Sides are padded to multiples of this, where its engine is quicker with few sizes.
    """

    decoder: str
    strides: tuple[int, ...]
    anchors: int
    multiple: int
    score_threshold: float
    nms_iou: float
    step: int = 1

    @classmethod
    def read(cls, folder: Path, step: int = 1) -> Detector:
        """Read the declaration in the version folder of the network.

        Args:
            folder: Version folder.
            step: See the attribute.

        Raises:
            OSError: There is none: the network was not exported.
            KeyError: It lacks a field.
            ValueError: It is no JSON, or names another decoder.
        """
        facts = json.loads((folder / DECLARATION).read_text(encoding="utf-8"))
        if facts["decoder"] not in DECODERS:
            raise ValueError(f"unknown decoder {facts['decoder']}")
        return cls(
            decoder=facts["decoder"],
            strides=tuple(facts["strides"]),
            anchors=facts["anchors"],
            multiple=facts["multiple"],
            score_threshold=facts["score_threshold"],
            nms_iou=facts["nms_iou"],
            step=step,
        )


@dataclass(frozen=True)
class Faces:
    """Faces of one picture, the most certain first.

    Attributes:
        boxes: FP32 [n, 4], left, top, right, bottom in pixels.
        scores: FP32 [n], 0..1.
        landmarks: FP32 [n, 5, 2], x and y in pixels of the eye at the picture's left, the eye at
            its right, the nose, and the mouth's corners at its left and right.
    """

    boxes: NDArray[Any]
    scores: NDArray[Any]
    landmarks: NDArray[Any]

    def __len__(self) -> int:
        return len(self.scores)

    def kept(self, places: NDArray[Any]) -> Faces:
        """Return the faces at these places or with a true value."""
        return Faces(self.boxes[places], self.scores[places], self.landmarks[places])

    def divided(self, scale: float) -> Faces:
        """Return the faces on a picture that is `scale` times smaller."""
        return Faces(self.boxes / scale, self.scores, self.landmarks / scale)


def letterbox(
    image: NDArray[Any], side: int, multiple: int, step: int = 1
) -> tuple[NDArray[Any], float]:
    """Fits a picture into a square, black below and at the right up to the next `multiple`.

    Args:
        image: UINT8 [height, width, 3].
        side: Longer side of the fitted picture in pixels; small pictures stay smaller, see
            `MAX_ENLARGEMENT`.
        multiple: The result's sides are multiples of this.
        step: And of this, as far as `side` lets them be: the fewer sizes there are, the sooner a
            GPU has seen all.

    Returns:
        UINT8 [fitted height, fitted width, 3], and its pixels per pixel of `image`.
    """
    height, width = image.shape[:2]
    scale = min(side / max(height, width), MAX_ENLARGEMENT)
    fitted = max(1, round(width * scale)), max(1, round(height * scale))
    if fitted != (width, height):
        # Area averaging does not alias, but is no interpolation where pixels are added.
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, fitted, interpolation=kind)
    below, right = (_padding(size, side, multiple, step) for size in image.shape[:2])
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return image, scale


def _padding(length: int, side: int, multiple: int, step: int) -> int:
    """Pixels that a side of this length lacks."""
    least, most = length + -length % multiple, side + -side % multiple
    return max(least, min(length + -length % math.lcm(step, multiple), most)) - length


def find_faces(
    predictions: NDArray[Any], size: tuple[int, ...], scale: float, detector: Detector
) -> Faces:
    """Read the network's answer for one picture.

    Args:
        predictions: FP32 [places, 15].
        size: Height and width of the network's input in pixels.
        scale: As `letterbox` returned it.
        detector: The network's declaration.

    Returns:
        Faces in pixels of the picture before `letterbox`.

    Raises:
        ValueError: The predictions are not those of a picture of that size.
    """
    centres, strides = _grid(size, detector)
    if predictions.shape != (len(strides), 15):
        raise ValueError(f"{predictions.shape} predictions, not {(len(strides), 15)}")
    places = np.flatnonzero(predictions[:, 0] >= detector.score_threshold)
    rows = predictions[places]
    faces = DECODERS[detector.decoder](rows, centres[places], strides[places])
    return faces.kept(keep_strongest(faces.boxes, faces.scores, detector.nms_iou)).divided(scale)


@lru_cache(maxsize=16)
def _grid(size: tuple[int, ...], detector: Detector) -> tuple[NDArray[Any], NDArray[Any]]:
    """Column and row in pixels FP32 [places, 2], and stride FP32 [places], of every prediction."""
    corners, strides = [], []
    for stride in detector.strides:
        rows, columns = np.indices((size[0] // stride, size[1] // stride), dtype=np.float32)
        places = np.stack((columns.ravel(), rows.ravel()), axis=1) * stride
        corners.append(np.repeat(places, detector.anchors, axis=0))
        strides.append(np.full(len(corners[-1]), stride, dtype=np.float32))
    return np.concatenate(corners), np.concatenate(strides)


def _centerface(rows: NDArray[Any], corners: NDArray[Any], strides: NDArray[Any]) -> Faces:
    """CenterFace (Xu et al. 2019, arXiv:1911.03599), as its published decoder reads it.

    Columns: score, log height, log width, offset y, offset x (in strides), then y and x of each
    landmark in shares of the box.
    """
    strides = strides[:, None]
    extent = np.exp(rows[:, 2:0:-1]) * strides
    centre = corners + (rows[:, 4:2:-1] + 0.5) * strides
    upper_left = centre - extent / 2
    landmarks = upper_left[:, None] + rows[:, 5:].reshape(-1, 5, 2)[:, :, ::-1] * extent[:, None]
    return Faces(np.hstack((upper_left, upper_left + extent)), rows[:, 0], landmarks)


def _scrfd(rows: NDArray[Any], corners: NDArray[Any], strides: NDArray[Any]) -> Faces:
    """SCRFD (Guo et al. 2021, arXiv:2105.04714), with the key points of InsightFace's models.

    Columns: score, distances to the left, top, right and bottom, then x and y of each landmark
    from the place, all in strides.
    """
    distances = rows[:, 1:5] * strides[:, None]
    boxes = np.hstack((corners - distances[:, :2], corners + distances[:, 2:]))
    landmarks = corners[:, None] + rows[:, 5:].reshape(-1, 5, 2) * strides[:, None, None]
    return Faces(boxes, rows[:, 0], landmarks)


DECODERS = {"centerface": _centerface, "scrfd": _scrfd}
"""By the name in a declaration."""


def keep_strongest(boxes: NDArray[Any], scores: NDArray[Any], iou: float) -> NDArray[Any]:
    """Greedy non-maximum suppression.

    Args:
        boxes: FP32 [n, 4], left, top, right, bottom.
        scores: FP32 [n].
        iou: Overlap, intersection over union, above which the weaker box is dropped.

    Returns:
        INT64 [kept], places of the boxes that stay, the highest score first.
    """
    order = np.argsort(-scores, kind="stable")
    areas = _areas(boxes)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        upper = np.maximum(boxes[best, :2], boxes[order, :2])
        lower = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(lower - upper, 0), axis=1)
        order = order[shared <= iou * (areas[best] + areas[order] - shared)]
    return np.array(kept, dtype=np.int64)


def _areas(boxes: NDArray[Any]) -> NDArray[Any]:
    sizes: NDArray[Any] = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    return sizes
