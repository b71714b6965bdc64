"""Which faces of successive frames are the same person's. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_AFFINITY = 0.2
"""Below it two faces are different people's."""

PATIENCE = 4
"""Sampled frames for which a person may be out of sight and is known again in the same place."""


@dataclass(frozen=True)
class Track:
    """One person.

    Attributes:
        faces: Number of the face in each frame in which the person is seen, by frame.
        boxes: FP32 [n, 4] of these faces, left, top, right, bottom in pixels.
    """

    faces: dict[int, int]
    boxes: NDArray[Any]

    @property
    def area(self) -> float:
        """Mean area of the faces in square pixels."""
        return float(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1).mean())

    @property
    def middle(self) -> float:
        """Mean horizontal place in pixels."""
        return float(self.boxes[:, [0, 2]].mean())


def follow(frames: Sequence[NDArray[Any]]) -> list[Track]:
    """Join the faces of successive frames into people.

    Args:
        frames: Boxes of each frame, FP32 [n, 4].

    Returns:
        People, those first who show most face for longest. Every face belongs to one of them.
    """
    tracks: list[dict[int, int]] = []
    for number, boxes in enumerate(frames):
        known = [track for track in tracks if number - max(track) <= PATIENCE]
        last = [frames[max(track)][track[max(track)]] for track in known]
        scores = np.array([[affinity(old, new) for new in boxes] for old in last])
        taken = set()
        while scores.size and scores.max() >= MIN_AFFINITY:
            place, face = np.unravel_index(scores.argmax(), scores.shape)
            known[place][number] = int(face)
            taken.add(int(face))
            scores[place], scores[:, face] = -1, -1
        tracks += [{number: face} for face in range(len(boxes)) if face not in taken]
    people = [
        Track(track, np.stack([frames[frame][face] for frame, face in track.items()]))
        for track in tracks
    ]
    return sorted(people, key=lambda track: -track.area * len(track.faces))


def affinity(old: NDArray[Any], new: NDArray[Any]) -> float:
    """How likely two boxes in successive frames are one person's, 0..1.

    The overlap (intersection over union), or the closeness of the centres in sizes of the face
    where a head has moved further than it is wide; both times the ratio of the areas.
    """
    areas = np.prod(old[2:] - old[:2]), np.prod(new[2:] - new[:2])
    if min(areas) <= 0:
        return 0.0
    shared = np.prod(np.maximum(np.minimum(old[2:], new[2:]) - np.maximum(old[:2], new[:2]), 0))
    overlap = shared / (sum(areas) - shared)
    distance = np.linalg.norm((old[:2] + old[2:] - new[:2] - new[2:]) / 2)
    closeness = 1 - distance / np.sqrt(areas).sum()
    return float(max(overlap, closeness, 0) * min(areas) / max(areas))
