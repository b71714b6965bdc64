"""Figures of a face, their thresholds, and the one score."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from faces.pose import HeadPose
from faces.quality import Quality, face_quality

GOOD = Quality(size=150, pose=HeadPose(0, 5, 3), sharpness=200, brightness=130)


def test_a_good_face_has_no_reason() -> None:
    assert (GOOD.score, GOOD.reason) == (1, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": 25}, "face_too_small"),
        ({"pose": HeadPose(0, -70, 0)}, "face_turned_away"),
        ({"pose": HeadPose(0, 0, 60)}, "face_turned_away"),
        ({"sharpness": 12}, "face_blurred"),
        ({"brightness": 12}, "face_too_dark"),
        ({"brightness": 250}, "face_too_bright"),
    ],
)
def test_each_figure_has_a_threshold(change: dict[str, object], reason: str) -> None:
    bad = replace(GOOD, **change)
    assert bad.reason == reason
    assert 0 <= bad.score < 0.5
    assert bad.report()["reason"] == reason


def test_a_lean_is_no_fault() -> None:
    """Lying faces are turned before they are aligned."""
    assert replace(GOOD, pose=HeadPose(-178, 0, 0)).reason is None


def test_the_score_is_the_worst_and_half_means_no_reason() -> None:
    for size in np.linspace(0, 80, 60):
        for brightness in np.linspace(0, 255, 60):
            one = replace(GOOD, size=float(size), brightness=float(brightness))
            assert (one.score < 0.5) == (one.reason is not None)
            assert one.score <= min(
                replace(GOOD, size=float(size)).score, replace(one, size=150.0).score
            )


def crop() -> np.ndarray:
    noise = np.random.default_rng(2).integers(0, 256, (56, 56, 3), np.uint8)
    return cv2.resize(noise, (112, 112), interpolation=cv2.INTER_CUBIC)


def figures(picture: np.ndarray) -> Quality:
    return face_quality(np.array([10.0, 10.0, 90.0, 130.0]), HeadPose(1, 2, 3), picture)


def test_the_figures_are_of_the_crop_and_the_box() -> None:
    told = figures(np.full((112, 112, 3), 77, np.uint8))
    assert (told.size, told.brightness, told.sharpness) == (80, 77, 0)
    assert told.pose == HeadPose(1, 2, 3)


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    sharp = figures(crop()).sharpness
    blurred = [figures(cv2.GaussianBlur(crop(), (0, 0), sigma)).sharpness for sigma in (1, 2, 4)]
    assert sharp > 1.5 * blurred[0] > 3 * blurred[1] > 6 * blurred[2]
    dim = figures((crop() * 0.4).astype(np.uint8)).sharpness
    assert dim == pytest.approx(sharp, rel=0.2)
