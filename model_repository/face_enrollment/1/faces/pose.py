"""Five landmarks → how a head is turned. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faces.alignment import TEMPLATE

NOSE_DEPTH = 0.42
"""How far the nose stands out of the plane of eyes and mouth, in distances from eyes to mouth: 135
of 320 in the generic head of "Head Pose Estimation using OpenCV and Dlib" (learnopencv.com, 2016).
"""

NEUTRAL_PITCH = -7.0
"""Degrees that come out for heads held straight; the portraits: docs/services/enrollment.md."""

# Degrees of yaw to the side, and of pitch, from which a pose is what it says; front is between.
TURNED, FRONT_YAW = 10.0, 20.0
RAISED, FRONT_PITCH = 7.0, 20.0


@dataclass(frozen=True)
class HeadPose:
    """Angles in degrees; all near 0 for a head that looks straight into the camera.

    Attributes:
        roll: Positive where the head leans clockwise as the picture is seen.
        yaw: Positive where the person looks to the own left, which is the picture's right unless
            the camera mirrors.
        pitch: Positive where the chin is raised.
    """

    roll: float
    yaw: float
    pitch: float


def _head() -> NDArray[Any]:
    """Landmarks of a generic head looking into the camera, FP64 [5, 3]: right, down, ahead."""
    height = TEMPLATE[3:, 1].mean() - TEMPLATE[:2, 1].mean()
    head = np.column_stack((TEMPLATE, [0, 0, NOSE_DEPTH * height, 0, 0]))
    centred: NDArray[Any] = head - head.mean(axis=0)
    return centred


HEAD = _head()
_TO_HEAD = np.linalg.pinv(HEAD)


def head_pose(landmarks: NDArray[Any]) -> HeadPose:
    """Return the pose of a generic head under scaled orthographic projection.

    The least-squares solution of POS (DeMenthon and Davis 1995, IJCV 15:123), made a rotation by
    its polar factor, as angles of turns about the eyes' axis, the neck and the line of sight. Five
    points are good for five to ten degrees: landmarks waver and heads differ.

    Args:
        landmarks: [5, 2], in pixels, y downwards: eyes, nose, corners of the mouth.
    """
    seen = landmarks.astype(np.float64)
    projection = (_TO_HEAD @ (seen - seen.mean(axis=0))).T
    left, _, right = np.linalg.svd(projection, full_matrices=False)
    across, down = left @ right
    ahead = np.cross(across, down)
    return HeadPose(
        roll=math.degrees(math.atan2(down[0], across[0])),
        yaw=math.degrees(math.asin(np.clip(-ahead[0], -1, 1))),
        pitch=math.degrees(math.atan2(ahead[1], ahead[2])) - NEUTRAL_PITCH,
    )


def pose_matches(declared: str, pose: HeadPose) -> bool | None:
    """Whether a head is held as declared; None where nothing known was.

    Args:
        declared: front, left, right, up or down; left and right are the person's own.
        pose: As measured.
    """
    held = {
        "front": abs(pose.yaw) <= FRONT_YAW and abs(pose.pitch) <= FRONT_PITCH,
        "left": pose.yaw >= TURNED,
        "right": pose.yaw <= -TURNED,
        "up": pose.pitch >= RAISED,
        "down": pose.pitch <= -RAISED,
    }
    return held.get(declared.strip().lower())
