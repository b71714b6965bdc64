"""Pictures → faces with their expressions, several pictures side by side. numpy, no Triton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from face_detection import Detector, find_faces, letterbox
from numpy.typing import NDArray

from stories.face_crops import square_crop

MAX_FACES = 6
"""Largest faces of a picture whose expression is read."""

MIN_SIDE = 16
"""Faces whose box is narrower in pixels show no expression that can be read."""


class CancelledError(Exception):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("cancelled")


@dataclass(frozen=True)
class ReadFaces:
    """Faces of one picture, the largest first.

    Attributes:
        boxes: FP32 [n, 4], left, top, right, bottom in pixels.
        probabilities: FP32 [n, labels].
    """

    boxes: NDArray[Any]
    probabilities: NDArray[Any]


@dataclass(frozen=True)
class FaceReader:
    """Finds faces and reads their expressions.

    Attributes:
        detect: The detector network: UINT8 [1, height, width, 3] to FP32 [1, places, 15].
        classify: The expression classifier: UINT8 [n, crop_side, crop_side, 3] to FP32
            [n, labels], probabilities.
        detector: How to read the detector's answers.
        detection_side: Longer side of what the detector sees, in pixels.
        crop_side: Side of what the classifier sees, in pixels.
        executor: Where pictures are read side by side.
    """

    detect: Callable[[NDArray[Any]], NDArray[Any]]
    classify: Callable[[NDArray[Any]], NDArray[Any]]
    detector: Detector
    detection_side: int
    crop_side: int
    executor: Executor

    def read(
        self, images: Sequence[NDArray[Any]], is_cancelled: Callable[[], bool]
    ) -> list[ReadFaces]:
        """Read all pictures, UINT8 [height, width, 3] each.

        Raises:
            CancelledError: `is_cancelled` said so.
            Exception: What the networks raise.
        """
        tasks = [self.executor.submit(self._read_one, image, is_cancelled) for image in images]
        try:
            return [task.result() for task in tasks]
        finally:
            for task in tasks:
                task.cancel()  # those not begun, after an error

    def _read_one(self, image: NDArray[Any], is_cancelled: Callable[[], bool]) -> ReadFaces:
        if is_cancelled():
            raise CancelledError
        canvas, scale = letterbox(
            image, self.detection_side, self.detector.multiple, self.detector.step
        )
        (predictions,) = self.detect(canvas[None])
        boxes = find_faces(predictions, canvas.shape[:2], scale, self.detector).boxes
        boxes = _largest(_inside(boxes, image.shape[:2]))
        if not len(boxes):
            return ReadFaces(np.zeros((0, 4), np.float32), np.zeros((0, 0), np.float32))
        crops = np.stack([square_crop(image, box, self.crop_side) for box in boxes])
        return ReadFaces(boxes, self.classify(crops))


def _inside(boxes: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Boxes whose middle is inside the picture."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    kept_boxes: NDArray[Any] = boxes[((middle >= 0) & (middle < (size[1], size[0]))).all(axis=1)]
    return kept_boxes


def _largest(boxes: NDArray[Any]) -> NDArray[Any]:
    sides = boxes[:, 2:] - boxes[:, :2]
    order = np.argsort(-sides.prod(axis=1), kind="stable")
    kept = order[sides[order].min(axis=1) >= MIN_SIDE]
    kept_boxes: NDArray[Any] = boxes[kept[:MAX_FACES]]
    return kept_boxes
