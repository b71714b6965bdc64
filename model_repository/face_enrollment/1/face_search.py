"""One enrolled picture: decode, find its face, crop it. numpy, OpenCV and Pillow only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from face_alignment import similarity
from face_choice import RULES, choose_face, large_faces
from face_detection import Detector, Faces, find_faces, letterbox
from face_thumbnail import face_thumbnail, thumbnail
from face_variants import face_crops
from image_decoding import ImageError, decode

NO_FACE = "no_face"
TOO_SMALL = "face_too_small"

MAX_DETECTION_SIDE = 2560
"""Sixteen times the work of the default side."""


@dataclass(frozen=True)
class SearchOptions:
    """How pictures are searched.

    Attributes:
        detection_side: Longer side of what the detector sees, in pixels.
        rule: Which face counts, see `face_choice`.
        min_face: Shorter side of the smallest face that counts, in pixels of the picture.
        varied: Whether the photometric variants count too.
        max_pixels: Of a picture.
    """

    detection_side: int
    rule: str
    min_face: int
    varied: bool
    max_pixels: int

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"the face that counts is one of {', '.join(RULES)}")
        if not 32 <= self.detection_side <= MAX_DETECTION_SIDE:
            raise ValueError(f"the detector sees 32 to {MAX_DETECTION_SIDE} pixels")


@dataclass(frozen=True)
class Found:
    """What a picture holds.

    Attributes:
        crops: UINT8 [n, 112, 112, 3]; none where the picture does not count.
        reason: Why it does not count: `no_face`, `face_too_small` or a code of `image_decoding`.
        score: Of the face, 0..1.
        box: Its left, top, right, bottom in pixels of the upright picture.
        landmarks: FP32 [5, 2] likewise.
        faces: How many large faces there are.
        thumbnail: JPEG, where asked for.
    """

    crops: np.ndarray | None = None
    reason: str | None = None
    score: float | None = None
    box: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    faces: int = 0
    thumbnail: bytes | None = None

    def report(self) -> dict[str, object]:
        """What the enrolling person may be told, as JSON; lengths in pixels."""
        left, top, right, bottom = (0.0,) * 4 if self.box is None else self.box.tolist()
        box = [round(value, 1) for value in (left, top, right - left, bottom - top)]
        points = None
        if self.landmarks is not None:
            points = self.landmarks.astype(np.float64).round(1).tolist()
        return {
            "face": self.box is not None,
            "score": None if self.score is None else round(self.score, 4),
            "box": None if self.box is None else box,
            "faces": self.faces,
            "landmarks": points,
            "used": self.crops is not None,
            "reason": self.reason,
        }


def search(
    data: bytes,
    detect: Callable[[np.ndarray], np.ndarray],
    detector: Detector,
    options: SearchOptions,
    *,
    with_thumbnail: bool,
) -> Found:
    """Looks for the face of a picture.

    Args:
        data: The encoded picture.
        detect: UINT8 [height, width, 3] to the predictions of the network, FP32 [places, 15].
        detector: The network's declaration.
        options: See there.
        with_thumbnail: Whether this picture makes the thumbnail: of its face or, without one, of
            the whole.
    """
    try:
        image = np.asarray(decode(data, options.max_pixels, srgb=True))
    except ImageError as error:
        return Found(reason=error.code)
    canvas, scale = letterbox(image, options.detection_side, detector.multiple)
    faces = find_faces(detect(canvas), canvas.shape[:2], scale, detector)
    if not len(faces):
        whole = thumbnail(image) if with_thumbnail else None
        return Found(reason=NO_FACE, thumbnail=whole)
    return _crop(image, faces, options, with_thumbnail)


def _crop(image: np.ndarray, faces: Faces, options: SearchOptions, with_thumbnail: bool) -> Found:
    chosen = choose_face(faces, *image.shape[:2], options.rule)
    box, landmarks = faces.boxes[chosen], faces.landmarks[chosen]
    small = (box[2:] - box[:2]).min() < options.min_face
    crops = None if small else face_crops(image, similarity(landmarks), varied=options.varied)
    return Found(
        crops=crops,
        reason=TOO_SMALL if small else None,
        score=float(faces.scores[chosen]),
        box=box,
        landmarks=landmarks,
        faces=large_faces(faces, chosen),
        thumbnail=face_thumbnail(image, box, landmarks) if with_thumbnail else None,
    )
