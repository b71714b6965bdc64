"""How good the picture of a face is for a vector. numpy and OpenCV only.

The thresholds and what they were measured on: docs/services/enrollment.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from faces.pose import HeadPose

Mode = Literal["report", "strict"]
MODES: tuple[Mode, ...] = ("report", "strict")
"""Whether pictures below a threshold count."""

FACE = np.s_[36:104, 26:86]
"""Of a crop: from the brows to the lower lip, without hair, background and the picture's border."""

THRESHOLD_SCORE = 0.5
"""Of a figure that is at its threshold."""


@dataclass(frozen=True)
class Scale:
    """What a figure is worth: 0 to 1, in straight lines between useless, threshold and good."""

    reason: str
    useless: float
    threshold: float
    good: float

    def worth(self, value: float) -> float:
        """0 where it is useless, 0.5 at the threshold, 1 where it is good."""
        points = (self.useless, self.threshold, self.good)
        worths = [0.0, THRESHOLD_SCORE, 1.0]
        if self.useless > self.good:
            return float(np.interp(-value, [-point for point in points], worths))
        return float(np.interp(value, points, worths))


SIZE = Scale("face_too_small", 20, 35, 60)
YAW = Scale("face_turned_away", 75, 50, 25)
PITCH = Scale("face_turned_away", 65, 40, 20)
SHARPNESS = Scale("face_blurred", 10, 25, 60)
DARK = Scale("face_too_dark", 10, 25, 50)
BRIGHT = Scale("face_too_bright", 254, 238, 220)


@dataclass(frozen=True)
class Quality:
    """Figures of one face.

    Attributes:
        size: Shorter side of its box in pixels of the picture.
        pose: Angles; the roll is the one in the picture as it was sent.
        sharpness: See `sharpness`.
        brightness: Mean of its luma, 0 to 255.
    """

    size: float
    pose: HeadPose
    sharpness: float
    brightness: float

    def _worths(self) -> list[tuple[float, str]]:
        figures = (
            (SIZE, self.size),
            (YAW, abs(self.pose.yaw)),
            (PITCH, abs(self.pose.pitch)),
            (SHARPNESS, self.sharpness),
            (DARK, self.brightness),
            (BRIGHT, self.brightness),
        )
        return [(scale.worth(value), scale.reason) for scale, value in figures]

    @property
    def score(self) -> float:
        """That of the worst figure, 0 to 1."""
        return min(worth for worth, _ in self._worths())

    @property
    def reason(self) -> str | None:
        """The worst figure below its threshold; None where there is none."""
        worth, reason = min(self._worths(), key=lambda judgement: judgement[0])
        return reason if worth < THRESHOLD_SCORE else None

    def report(self) -> dict[str, object]:
        """As JSON; pixels, degrees and grey levels."""
        return {
            "score": round(self.score, 3),
            "reason": self.reason,
            "size": round(self.size, 1),
            "roll": round(self.pose.roll, 1),
            "yaw": round(self.pose.yaw, 1),
            "pitch": round(self.pose.pitch, 1),
            "sharpness": round(self.sharpness, 1),
            "brightness": round(self.brightness, 1),
        }


def face_quality(box: NDArray[Any], pose: HeadPose, crop: NDArray[Any]) -> Quality:
    """Return the figures of a face.

    Args:
        box: [4], left, top, right, bottom in pixels.
        pose: As measured.
        crop: UINT8 [112, 112, 3], RGB, aligned.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    face = grey[FACE]
    return Quality(
        size=float((box[2:] - box[:2]).min()),
        pose=pose,
        sharpness=sharpness(face),
        brightness=float(face.mean()),
    )


def sharpness(grey: NDArray[Any]) -> float:
    """Variance of the Laplacian over contrast, of a picture of one known size.

    Pech-Pacheco et al. (2000, ICPR, "Diatom autofocusing in brightfield microscopy"), divided by
    the variance of the picture so that dim light is not taken for blur; times 1000.

    Args:
        grey: UINT8 [height, width].
    """
    edges = cv2.Laplacian(grey, cv2.CV_64F)
    return 1000 * float(edges.var() / (grey.astype(np.float64).var() + 1))
