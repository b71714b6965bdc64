"""One enrolled picture: decode, find its face, crop it. numpy, OpenCV and Pillow only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from face_detection import Detector
from numpy.typing import NDArray
from pictures.decoding import ImageError, decode

from faces.alignment import similarity
from faces.choice import RULES, large_faces
from faces.locating import Locator, Sighting, upright
from faces.pose import head_pose
from faces.quality import MODES, Mode, Quality, face_quality
from faces.thumbnail import face_thumbnail, thumbnail
from faces.variants import face_crops

NO_FACE = "no_face"
TOO_SMALL = "face_too_small"
UNCLEAR = "face_unclear"

MAX_DETECTION_SIDE = 2560
"""Sixteen times the work of the default side."""
MAX_EXTRA_VIEWS = 1000


@dataclass(frozen=True)
class SearchOptions:
    """How pictures are searched.

    Attributes:
        detection_side: Longer side of what the detector sees, in pixels.
        rule: Which face counts, see `faces.choice`.
        min_face: Shorter side of the smallest face that counts, in pixels of the picture.
        varied: Whether the photometric variants count too.
        max_pixels: Of a picture.
        quality: Whether pictures below a threshold of `faces.quality` count (`report`).
        extra_views: Most views beside the first, see `faces.locating`.
    """

    detection_side: int
    rule: str
    min_face: int
    varied: bool
    max_pixels: int
    quality: Mode = "report"
    extra_views: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"the face that counts is one of {', '.join(RULES)}")
        if not 32 <= self.detection_side <= MAX_DETECTION_SIDE:
            raise ValueError(f"the detector sees 32 to {MAX_DETECTION_SIDE} pixels")
        if self.quality not in MODES:
            raise ValueError(f"quality is one of {', '.join(MODES)}")
        if not 0 <= self.extra_views <= MAX_EXTRA_VIEWS:
            raise ValueError(f"there are 0 to {MAX_EXTRA_VIEWS} further views")


@dataclass(frozen=True)
class SearchResult:
    """What a picture holds.

    Attributes:
        crops: UINT8 [n, 112, 112, 3]; none where the picture does not count.
        reason: Why it does not count: `no_face`, `face_too_small`, `face_unclear`, one of
            `faces.quality` or a code of `pictures.decoding`.
        score: Of the face, 0..1.
        box: Its left, top, right, bottom in pixels of the upright picture.
        landmarks: FP32 [5, 2] likewise.
        faces: How many large faces there are.
        thumbnail: JPEG, where asked for.
        quality: Figures of the face.
    """

    crops: NDArray[Any] | None = None
    reason: str | None = None
    score: float | None = None
    box: NDArray[Any] | None = None
    landmarks: NDArray[Any] | None = None
    faces: int = 0
    thumbnail: bytes | None = None
    quality: Quality | None = None

    def report(self) -> dict[str, object]:
        """Return what the enrolling person may be told, as JSON; lengths in pixels."""
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
    detect: Callable[[NDArray[Any]], NDArray[Any]],
    detector: Detector,
    options: SearchOptions,
    *,
    with_thumbnail: bool,
    go_on: Callable[[], None] = lambda: None,
) -> SearchResult:
    """Look for the face of a picture.

    Args:
        data: The encoded picture.
        detect: UINT8 [height, width, 3] to the predictions of the network, FP32 [places, 15].
        detector: The network's declaration.
        options: See there.
        with_thumbnail: Whether this picture makes the thumbnail: of its face or, without one, of
            the whole.
        go_on: Called before every view beside the first; raises where nobody waits any more.
    """
    try:
        image = np.asarray(decode(data, options.max_pixels, srgb=True))
    except ImageError as error:
        return SearchResult(reason=error.code)
    locator = Locator(
        image,
        detect,
        detector,
        side=options.detection_side,
        rule=options.rule,
        extra_views=options.extra_views,
        go_on=go_on,
    )
    seen = locator.locate()
    if seen is None:
        whole = thumbnail(image) if with_thumbnail else None
        return SearchResult(reason=NO_FACE, thumbnail=whole)
    return _crop(image, seen, options, with_thumbnail)


def _crop(
    image: NDArray[Any], seen: Sighting, options: SearchOptions, with_thumbnail: bool
) -> SearchResult:
    faces, chosen = seen.faces, seen.chosen
    box, landmarks = faces.boxes[chosen], faces.landmarks[chosen]
    # Its face stands upright, so that the crop is the same however the picture was turned.
    turned = np.rot90(image, seen.turns)
    crops, quality = None, None
    if np.isfinite(seen.misfit):
        crops = face_crops(turned, similarity(landmarks), varied=options.varied)
    sent = upright(seen, (image.shape[0], image.shape[1]))
    if crops is not None:
        quality = face_quality(box, head_pose(sent.landmarks[chosen]), crops[0])
    reason = _reason(seen, quality, options)
    return SearchResult(
        crops=crops if reason is None else None,
        reason=reason,
        score=float(faces.scores[chosen]),
        box=sent.boxes[chosen],
        landmarks=sent.landmarks[chosen],
        faces=large_faces(faces, chosen),
        thumbnail=face_thumbnail(turned, box, landmarks) if with_thumbnail else None,
        quality=quality,
    )


def _reason(seen: Sighting, quality: Quality | None, options: SearchOptions) -> str | None:
    """Why a face does not count; None where it does."""
    box = seen.faces.boxes[seen.chosen]
    if (box[2:] - box[:2]).min() < options.min_face:
        return TOO_SMALL
    if seen.is_hopeless or quality is None:
        return UNCLEAR
    return quality.reason if options.quality == "strict" else None
