"""The face of a picture, upright or not, large or small. numpy and OpenCV only.

One view of the whole picture is enough for most. Where it shows no face, or one that cannot stand
as it seems to, further views are searched: the picture in its three other quarter turns, then parts
of it in a finer scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from face_detection import Detector, Faces, find_faces, keep_strongest, letterbox
from numpy.typing import NDArray

from faces.alignment import TEMPLATE, similarity
from faces.choice import choose_face
from faces.views import around, joined, moved, tiles, turned_faces, turned_points, turned_size

UPRIGHT = 40.0
"""Degrees. The detector knows faces by their upper end: further from upright, its landmarks are of
a face it imagines (on three portraits in 12 positions, the wrong ones leaned 53 degrees or more, or
missed the template by 14 pixels or more; the right ones at most 48 degrees and 3.9 pixels)."""
MISFIT = 6.0
"""Pixels of the crop by which landmarks miss the template; a head turned 45 degrees misses by 5.5.
"""
HOPELESS_LEAN, HOPELESS_MISFIT = 60.0, 10.0
"""Beyond, even the best view shows no face that could be aligned."""
CLEAR_LEAN, CLEAR_MISFIT = 25.0, 4.0
"""Within, no other view can be better."""

FINER = 3.5
"""Longer side of the finest scale in detection sides: 2240 pixels by default."""
WORTHWHILE = 1.25
"""A finer scale is at least so much finer."""
_REACH = 2.0
"""Of the part that is turned around a small face, on each side of it."""


@dataclass(frozen=True)
class Sighting:
    """Faces as one view shows them, on the whole picture after quarter turns.

    Attributes:
        turns: Quarter turns against the clock.
        faces: At least one.
        chosen: Place of the one that counts.
        lean: Degrees between it and upright, -180 to 180.
        misfit: Mean distance of its landmarks to the template, in pixels of the crop.
    """

    turns: int
    faces: Faces
    chosen: int
    lean: float
    misfit: float

    @property
    def is_upright(self) -> bool:
        """Whether the face can be one that stands so."""
        return abs(self.lean) <= UPRIGHT and self.misfit <= MISFIT

    @property
    def is_clear(self) -> bool:
        """Whether no other view can show it better."""
        return abs(self.lean) <= CLEAR_LEAN and self.misfit <= CLEAR_MISFIT

    @property
    def is_hopeless(self) -> bool:
        """Whether it cannot be aligned."""
        return abs(self.lean) > HOPELESS_LEAN or self.misfit > HOPELESS_MISFIT

    @property
    def doubt(self) -> float:
        """The lower, the more likely the landmarks are where they belong."""
        return self.misfit + abs(self.lean) / 15 - 2 * float(self.faces.scores[self.chosen])


class Locator:
    """Searches one picture; what it costs is bounded."""

    def __init__(
        self,
        image: NDArray[Any],
        detect: Callable[[NDArray[Any]], NDArray[Any]],
        detector: Detector,
        *,
        side: int,
        rule: str,
        extra_views: int,
        go_on: Callable[[], None],
    ) -> None:
        """Prepare the search.

        Args:
            image: UINT8 [height, width, 3], RGB.
            detect: UINT8 [height, width, 3] to the predictions of the network, FP32 [places, 15].
            detector: The network's declaration.
            side: Longer side of a view in pixels.
            rule: See `faces.choice`.
            extra_views: Most views beside the first.
            go_on: Called before every further view; raises where nobody waits any more.
        """
        self._image = image
        self._size = image.shape[0], image.shape[1]
        self._detect = detect
        self._detector = detector
        self._side = side
        self._rule = rule
        self._left = extra_views
        self._go_on = go_on

    def locate(self) -> Sighting | None:
        """Return the best sighting of the face that counts; None where there is no face."""
        best = self._sighting(0, self._faces(self._image))
        if best is None or not best.is_upright:
            best = self._turned(best, self._whole)
        if best is None:
            best = self._sighting(0, self._small_faces())
            if best is not None and not best.is_upright:
                best = self._turned(best, partial(self._part, best.faces.boxes[best.chosen]))
        return best

    def _turned(
        self, best: Sighting | None, view: Callable[[int], Faces | None]
    ) -> Sighting | None:
        """Return the best of a sighting and what the other quarter turns show."""
        for turns in (3, 1, 2):
            if best is not None and best.is_clear:
                break
            faces = view(turns)
            seen = None if faces is None else self._sighting(turns, faces)
            if seen is not None and (best is None or seen.doubt < best.doubt):
                best = seen
        return best

    def _whole(self, turns: int) -> Faces | None:
        return self._faces(np.rot90(self._image, turns)) if self._may_look() else None

    def _part(self, box: NDArray[Any], turns: int) -> Faces | None:
        """Faces around a box of the upright picture, on the turned picture."""
        if not self._may_look():
            return None
        corners = turned_points(box.reshape(2, 2), turns, self._size)
        there = np.concatenate((corners.min(axis=0), corners.max(axis=0)))
        rows, columns = around(there, turned_size(self._size, turns), _REACH)
        faces = self._faces(np.rot90(self._image, turns)[rows, columns])
        return moved(faces, columns.start, rows.start)

    def _small_faces(self) -> Faces:
        """Faces of a finer scale."""
        scale = min(1.0, FINER * self._side / max(self._size))
        fine = self._image
        tiled = [Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))]
        if scale * max(self._size) < WORTHWHILE * self._side or not self._left:
            return tiled[0]
        if scale < 1:
            size = [max(1, round(length * scale)) for length in (self._size[1], self._size[0])]
            fine = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
        for rows, columns in tiles((fine.shape[0], fine.shape[1]), self._side):
            if self._may_look():
                faces = self._faces(fine[rows, columns])
                tiled.append(moved(faces, columns.start, rows.start))
        faces = joined(tiled).divided(scale)
        return faces.kept(keep_strongest(faces.boxes, faces.scores, self._detector.nms_iou))

    def _may_look(self) -> bool:
        """Whether one more view is allowed; counts it."""
        if self._left <= 0:
            return False
        self._go_on()
        self._left -= 1
        return True

    def _faces(self, view: NDArray[Any]) -> Faces:
        canvas, scale = letterbox(view, self._side, self._detector.multiple, self._detector.step)
        predictions = self._detect(np.ascontiguousarray(canvas))
        return find_faces(predictions, canvas.shape[:2], scale, self._detector)

    def _sighting(self, turns: int, faces: Faces) -> Sighting | None:
        if not len(faces):
            return None
        size = turned_size(self._size, turns)
        chosen = choose_face(faces, *size, self._rule)
        lean, misfit = _fit(faces.landmarks[chosen])
        return Sighting(turns, faces, chosen, lean, misfit)


def upright(sighting: Sighting, size: tuple[int, int]) -> Faces:
    """Return the faces of a sighting on the picture as it was sent, of this height and width."""
    turned = turned_size(size, sighting.turns)
    return turned_faces(sighting.faces, -sighting.turns, turned)


def _fit(landmarks: NDArray[Any]) -> tuple[float, float]:
    """Lean in degrees and misfit in pixels of the crop; of landmarks in one point, the worst."""
    try:
        matrix = similarity(landmarks)
    except ValueError:
        return 180.0, math.inf
    placed = landmarks @ matrix[:, :2].T + matrix[:, 2]
    misfit = float(np.linalg.norm(placed - TEMPLATE, axis=1).mean())
    return -math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])), misfit
