"""Coordinates of an upper body: across and down, from the middle of the shoulders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tryon_errors import PoseError

from body.drawing import ONE, pixel
from body.pose import EARS, ELBOWS, FINGERS, HIPS, MOUTH, NOSE, SHOULDERS, WRISTS, BodyPose

VISIBLE = 0.5
"""Least visibility of shoulders and hips."""
LEAST_WIDTH = 0.3
"""Shoulders closer than that share of the torso's length are seen from the side."""


@dataclass(frozen=True)
class BodyFrame:
    """Where an upper body is.

    The picture's left comes first: the right arm of a person who looks at the camera.

    Attributes:
        origin: Middle of the shoulders, pixels.
        across: Unit vector to the picture's right shoulder.
        down: Unit vector to the middle of the hips.
        half: Half of the shoulder width in pixels.
        length: From the shoulders to the hips in pixels.
        arms: Shoulder, elbow and wrist of each arm, float64 [2, 3, 2].
        hands: Tips of small finger, index and thumb of each hand, float64 [2, 3, 2].
        face: Nose and two ears and corners of the mouth, float64 [5, 2].
    """

    origin: NDArray[Any]
    across: NDArray[Any]
    down: NDArray[Any]
    half: float
    length: float
    arms: NDArray[Any]
    hands: NDArray[Any]
    face: NDArray[Any]

    def at(self, across: float, down: float) -> NDArray[Any]:
        """Return the pixel at `across` half shoulder widths and `down` torso lengths."""
        rightward, downward = across * self.half * self.across, down * self.length * self.down
        point: NDArray[Any] = self.origin + rightward + downward
        return point

    def coordinates(self, size: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Both coordinates of every pixel, float32 [height, width]; `size` is width, height."""
        x = np.arange(size[0], dtype=np.float32)[None] - np.float32(self.origin[0])
        y = np.arange(size[1], dtype=np.float32)[:, None] - np.float32(self.origin[1])
        system = np.linalg.inv(
            np.column_stack([self.across * self.half, self.down * self.length])
        ).astype(np.float32)
        return system[0, 0] * x + system[0, 1] * y, system[1, 0] * x + system[1, 1] * y

    @property
    def lift(self) -> float:
        """Torso lengths in half a shoulder width."""
        return self.half / self.length


def frame_of(pose: BodyPose, whole: bool = True) -> BodyFrame:
    """Return the frame of a person who looks at the camera.

    Raises:
        PoseError: Shoulders or hips are not visible, or the body is seen from the side or back.
    """
    height, width = pose.mask.shape
    points, seen = pose.points.astype(np.float64), pose.visibility
    inside = ((points >= -2) & (points < [width + 2, height + 2])).all(axis=1)
    for name, pair in (("shoulders", SHOULDERS), ("hips", HIPS)):
        if whole and not all(inside[i] and seen[i] >= VISIBLE for i in pair):
            raise PoseError(f"{name} are not visible")
    left, right = points[SHOULDERS[1]], points[SHOULDERS[0]]
    origin, hips = (left + right) / 2, (points[HIPS[0]] + points[HIPS[1]]) / 2
    half, length = float(np.hypot(*(right - left))) / 2, float(np.hypot(*(hips - origin)))
    if length < 24 or half < 8:
        raise PoseError("the person is too small")
    if right[0] <= left[0] or 2 * half < LEAST_WIDTH * length or hips[1] <= origin[1]:
        raise PoseError("the person is not seen upright from the front")
    return BodyFrame(
        origin,
        (right - left) / (2 * half),
        (hips - origin) / length,
        half,
        length,
        np.array([[points[j[side]] for j in (SHOULDERS, ELBOWS, WRISTS)] for side in (1, 0)]),
        np.array([[points[i] for i in FINGERS[side]] for side in (1, 0)]),
        points[[NOSE, *EARS, *MOUTH]],
    )


def hand_mask(frame: BodyFrame, size: tuple[int, ...]) -> NDArray[Any]:
    """uint8 [height, width], 1 on the hands; `size` is width, height."""
    mask = np.zeros(size[::-1], np.uint8)
    thick = max(3, round(frame.half * 0.3))
    for arm, tips in zip(frame.arms, frame.hands, strict=True):
        forearm = arm[2] - arm[1]
        start = arm[2] + 0.06 * forearm
        hull = cv2.convexHull(np.vstack([start, tips]).round().astype(np.int32))
        cv2.fillConvexPoly(mask, hull, ONE)
        for tip in tips:
            beyond = tip + 0.5 * (tip - start)
            cv2.line(mask, pixel(start), pixel(beyond), ONE, thick)
    return mask


def face_mask(frame: BodyFrame, size: tuple[int, ...]) -> NDArray[Any]:
    """uint8 [height, width], 1 on the face with the chin; `size` is width, height."""
    mask = np.zeros(size[::-1], np.uint8)
    nose, mouth = frame.face[0], frame.face[3:].mean(0)
    drop = max(float(np.hypot(*(mouth - nose))), 0.12 * frame.half)
    width = max(float(np.hypot(*(frame.face[1] - frame.face[2]))), 2.6 * drop)
    center = nose - 0.2 * (mouth - nose)
    axes = (round(width * 0.55), round(drop * 3.4))
    cv2.ellipse(mask, pixel(center), axes, 0, 0, 360, ONE, -1)
    return mask


def throat_mask(frame: BodyFrame, size: tuple[int, ...]) -> NDArray[Any]:
    """Return a mask, bool [height, width] of `size` (width, height): the throat."""
    across, down = frame.coordinates(size)
    return np.asarray((across / 0.4) ** 2 + ((down / frame.lift + 0.62) / 0.4) ** 2 < 1)
