"""Finds a person: 33 landmarks and a mask, by the three networks of MediaPipe's wheel.

The numbers of the detector's anchors, boxes and square are those that MediaPipe documents for
`pose_detection` (BlazePose, arXiv:2006.10204).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tryon_errors import PipelineError

SIDE = 224
STRIDES = ((8, 2), (16, 2), (32, 6))
"""Cell size in pixels, anchors per cell (one of scale 1 and one interpolated for each layer)."""
SCORE = 0.5
SQUARE_SCALE = 1.25
"""The square is that much wider than the circle around the body."""
FILES = ("pose_detection.tflite", "pose_landmark_full.tflite", "selfie_segmentation.tflite")
LANDMARK_SIDE = 256
PRESENCE = 0.5
"""Least probability that the square holds a body."""
NOSE, EARS, MOUTH = 0, (7, 8), (9, 10)
SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES = (11, 12), (13, 14), (15, 16), (23, 24), (25, 26)
"""Landmarks, the person's left before the right."""
FINGERS = ((17, 19, 21), (18, 20, 22))


@dataclass(frozen=True)
class BodySquare:
    """A square in the picture, turned with the body.

    Attributes:
        center: x, y in pixels.
        side: Pixels.
        angle: Radians by which the body is turned clockwise from upright.
    """

    center: tuple[float, float]
    side: float
    angle: float

    def matrix(self, size: int) -> NDArray[Any]:
        """Affine float64 [2, 3] from a `size` x `size` crop to the picture."""
        scale = self.side / size
        cos, sin = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        turn = np.array([[cos, -sin], [sin, cos]])
        offset = np.asarray(self.center) - turn @ [size / 2, size / 2]
        return np.column_stack([turn, offset])


def anchors() -> NDArray[Any]:
    """Centers of the 2,254 anchors, float64 [n, 2] in pixels of the detector's input."""
    centers = []
    for stride, count in STRIDES:
        axis = (np.arange(SIDE // stride) + 0.5) * stride
        x, y = np.meshgrid(axis, axis)
        cells = np.column_stack([x.ravel(), y.ravel()])
        centers.append(np.repeat(cells, count, axis=0))
    return np.concatenate(centers)


def best_body(raw: NDArray[Any], logits: NDArray[Any]) -> tuple[NDArray[Any], float] | None:
    """Return the most certain body.

    Args:
        raw: float32 [n, 12]: box center and size, then 4 points relative to the anchor, in pixels.
        logits: float32 [n].

    Returns:
        Hip center and the point at the body's full reach, float64 [2, 2] in pixels of the input,
        with the score; None when nothing reaches SCORE.
    """
    best = int(np.argmax(logits))
    score = float(1 / (1 + np.exp(-np.clip(logits[best], -100, 100))))
    if score < SCORE:
        return None
    points = raw[best, 4:8].reshape(2, 2).astype(np.float64) + anchors()[best]
    return points, score


def square_of(hips: NDArray[Any], reach: NDArray[Any]) -> BodySquare:
    """Return the square around a circle about the hips through `reach`."""
    away = np.asarray(reach, np.float64) - hips
    angle = float(np.arctan2(away[0], -away[1]))
    side = 2 * float(np.hypot(*away)) * SQUARE_SCALE
    return BodySquare((float(hips[0]), float(hips[1])), side, angle)


@dataclass(frozen=True)
class BodyPose:
    """A person in a picture.

    Attributes:
        points: float32 [33, 2], pixels.
        visibility: float32 [33], probability that the point is in the picture and not hidden.
        mask: float32 [height, width], probability of the person.
    """

    points: NDArray[Any]
    visibility: NDArray[Any]
    mask: NDArray[Any]


class BodyNetworks:
    """The three networks; used by one thread at a time."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the files of FILES.

        Raises:
            PipelineError: A file is missing or is no network.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter

            self._detector, self._landmarks, self._segmenter = (
                _Network(Interpreter(str(folder / file), num_threads=threads)) for file in FILES
            )
        except (ImportError, OSError, ValueError) as error:
            words = f"the body networks cannot be loaded ({type(error).__name__}): `make models`"
            raise PipelineError(words) from error

    def pose(self, picture: NDArray[Any]) -> BodyPose | None:
        """Return the most certain person in a uint8 RGB picture, None when there is nobody."""
        boxed, scale, offset = _letterboxed(picture)
        raw, logits = self._detector.run(boxed.astype(np.float32) / 127.5 - 1, (12, 1))
        body_box = best_body(raw[0], logits[0, :, 0])
        if body_box is None:
            return None
        hips, reach = (body_box[0] - offset) / scale
        aimed = self._read(picture, hips, reach)
        if aimed is None:
            return None
        # The first landmarks aim the square better than the detector does.
        landmarks = self._read(picture, aimed[0][33], aimed[0][34])
        if landmarks is None:
            return None
        points, visibility, logits = landmarks
        body = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
        mask = np.maximum(body, 0.0)
        selfie = self._segmenter.run(
            cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255,
            (1,),
        )[0][0, ..., 0]
        size = picture.shape[1::-1]
        whole = cv2.resize(selfie, size, interpolation=cv2.INTER_LINEAR)
        # Either network misses parts: the one sees the square only, the other not the legs.
        mask = np.maximum(mask, whole * (cv2.blur(mask, (31, 31)) > 0.02))
        return BodyPose(points[:33], visibility, mask.astype(np.float32))

    def _read(
        self, picture: NDArray[Any], hips: NDArray[Any], reach: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
        """Points [39, 2], visibility [33] and mask logits [height, width] of the body there."""
        matrix = square_of(hips, reach).matrix(LANDMARK_SIDE)
        size = (LANDMARK_SIDE, LANDMARK_SIDE)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(picture, matrix, size, flags=flags)
        values, presence, mask = self._landmarks.run(crop.astype(np.float32) / 255, (195, 1, 1))
        if float(presence.ravel()[0]) < PRESENCE:
            return None
        landmarks = values[0].reshape(39, 5)
        points = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        visibility = 1 / (1 + np.exp(-np.clip(landmarks[:33, 3:].min(axis=1), -60, 60)))
        back = cv2.warpAffine(
            mask[0, ..., 0],
            matrix,
            picture.shape[1::-1],
            flags=cv2.INTER_LINEAR,
            borderValue=(-60.0,),
        )
        return points.astype(np.float32), visibility.astype(np.float32), back


class _Network:
    """One network of one input."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        interpreter.allocate_tensors()
        self._input = interpreter.get_input_details()[0]["index"]
        self._outputs = interpreter.get_output_details()

    def run(self, picture: NDArray[Any], channels: tuple[int, ...]) -> list[NDArray[Any]]:
        """Return the first outputs; check that their last dimensions are `channels`."""
        self._interpreter.set_tensor(self._input, picture[None].astype(np.float32))
        self._interpreter.invoke()
        arrays = []
        for detail, channel in zip(self._outputs, channels, strict=False):
            array = self._interpreter.get_tensor(detail["index"])
            if array.shape[-1] != channel:
                raise PipelineError("a body network has other outputs than expected")
            arrays.append(array)
        return arrays


def _letterboxed(picture: NDArray[Any]) -> tuple[NDArray[Any], float, NDArray[Any]]:
    """Return the picture in the middle of the detector's square; scale and offset of its pixels."""
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    boxed = np.zeros((SIDE, SIDE, 3), np.uint8)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    boxed[top : top + size[1], left : left + size[0]] = small
    return boxed, scale, np.array([left, top], np.float64)
