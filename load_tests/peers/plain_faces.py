"""Face vectors as the old server made them: every variant of every picture from the beginning.

Plain ONNX Runtime, numpy and OpenCV on the networks that Pentad serves, written without its code,
so that it is a baseline of the speed and a reference of the result.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]

SIDE = 640
"""Longer side of what the detector sees."""
SCORE, OVERLAP = 0.5, 0.3
"""CenterFace's own thresholds."""
# Where InsightFace puts the landmarks in a crop of 112 pixels (ArcFace).
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


class PlainFaces:
    """Both networks, each in one session."""

    def __init__(self, repository: Path, threads: int) -> None:
        """Load the networks of a model repository; ``threads`` per session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._detector, self._embedder = (
            onnxruntime.InferenceSession(
                str(repository / model / "1" / "model.onnx"),
                options,
                providers=["CPUExecutionProvider"],
            )
            for model in ("face_detector", "face_embedder")
        )

    def vector(self, images: list[bytes], *, varied: bool = True) -> Vector:
        """Return the unit vector of the mean over all variants of all pictures.

        Raises:
            ValueError: no face anywhere.
        """
        embeddings = []
        for data in images:
            picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            for variant in variants(picture) if varied else [picture]:
                landmarks = self.landmarks(variant)
                if landmarks is not None:
                    embeddings.append(self.embed(align(variant, landmarks)))
        if not embeddings:
            raise ValueError("no face")
        mean = np.mean(np.asarray(embeddings, dtype=np.float64), axis=0).astype(np.float32)
        return np.asarray(mean / np.linalg.norm(mean))

    def landmarks(self, picture: Pixels) -> NDArray[np.float64] | None:
        """Return the five landmarks [5, 2] of the largest face, None without one."""
        height, width = picture.shape[:2]
        scale = min(SIDE / max(height, width), 2.0)
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted = round(width * scale), round(height * scale)
        small = cv2.resize(picture, fitted, interpolation=kind)
        rows, columns = (-(-side // 32) * 32 for side in small.shape[:2])
        canvas = np.zeros((rows, columns, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        predictions = self._detector.run(None, {"image": canvas[None]})[0][0]
        boxes, scores, points = [], [], []
        for place in np.flatnonzero(predictions[:, 0] > SCORE):
            score, log_high, log_wide, off_y, off_x, *marks = predictions[place].tolist()
            row, column = divmod(int(place), columns // 4)
            high, wide = np.exp(log_high) * 4, np.exp(log_wide) * 4
            left = (column + off_x + 0.5) * 4 - wide / 2
            top = (row + off_y + 0.5) * 4 - high / 2
            boxes.append((left, top, wide, high))
            scores.append(score)
            pairs = zip(marks[1::2], marks[::2], strict=True)
            points.append([(left + x * wide, top + y * high) for x, y in pairs])
        kept = list(cv2.dnn.NMSBoxes(boxes, scores, SCORE, OVERLAP)) if boxes else []
        if not kept:
            return None
        largest = max(kept, key=lambda place: boxes[place][2] * boxes[place][3])
        return np.asarray(points[largest]) / scale

    def embed(self, crop: Pixels) -> Vector:
        """Return the network's embedding [512] of an aligned face."""
        return np.asarray(self._embedder.run(None, {"image": crop[None]})[0][0], dtype=np.float32)


def align(picture: Pixels, landmarks: NDArray[np.float64]) -> Pixels:
    """Return the crop [112, 112, 3] that puts the landmarks on the template (Umeyama, 1991)."""
    middle, goal = landmarks.mean(axis=0), TEMPLATE.mean(axis=0)
    covariance = (TEMPLATE - goal).T @ (landmarks - middle) / len(landmarks)
    left, strengths, right = np.linalg.svd(covariance)
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = left @ np.diag(signs) @ right
    turn *= (strengths * signs).sum() / (landmarks - middle).var(axis=0).sum()
    matrix = np.hstack((turn, (goal - turn @ middle)[:, None]))
    return np.asarray(cv2.warpAffine(picture, matrix, (112, 112)), dtype=np.uint8)


def variants(picture: Pixels) -> Iterator[Pixels]:
    """Yield the picture and its five variants, as the old server documents them."""
    yield picture
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    yield _rgb(hue, saturation, cv2.LUT(value, _scaled(1.25)))
    noise = np.random.default_rng(42).standard_normal(picture.shape, np.float32) * np.float32(12)
    dark = _rgb(hue, saturation, cv2.LUT(value, _scaled(0.8)))
    yield np.clip(dark + noise, 0, 255).astype(np.uint8)
    height, width = picture.shape[:2]
    blurred = cv2.GaussianBlur(picture, (5, 5), 0)
    part = blurred[int(height * 0.05) : int(height * 0.975), int(width * 0.05) : int(width * 0.975)]
    yield np.asarray(cv2.resize(part, (width, height)), dtype=np.uint8)
    warmer = ((np.arange(256) + 8) % 180).astype(np.uint8)
    yield _rgb(cv2.LUT(hue, warmer), cv2.LUT(saturation, _scaled(1.12)), value)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=50)
    yield np.asarray(Image.open(file))


def _scaled(factor: float) -> Pixels:
    return np.clip(np.arange(256) * factor, 0, 255).astype(np.uint8)


def _rgb(*channels: Any) -> Pixels:
    return np.asarray(cv2.cvtColor(cv2.merge(channels), cv2.COLOR_HSV2RGB), dtype=np.uint8)
