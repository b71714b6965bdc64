"""Angles of a generic head from where its five landmarks are seen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from faces.pose import HEAD, NEUTRAL_PITCH, HeadPose, head_pose, pose_matches


def seen(roll: float, yaw: float, pitch: float) -> np.ndarray:
    """Landmarks of a head far away: turned about the eyes' axis, the neck, the line of sight."""
    r, y, p = np.radians((roll, yaw, pitch))
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (HEAD @ (lean @ turn @ nod).T)[:, :2] * 1.7 + (300, 200)


@pytest.mark.parametrize(
    "angles",
    list(itertools.product((-170, -90, 0, 35, 120), (-50, -20, 0, 30), (-40, 0, 25))),
)
def test_the_angles_come_back(angles: tuple[float, float, float]) -> None:
    pose = head_pose(seen(*angles))
    found = (pose.roll, pose.yaw, pose.pitch + NEUTRAL_PITCH)
    assert found == pytest.approx(angles, abs=0.01)


def test_the_signs_are_those_of_the_words() -> None:
    """A nose to the picture's right is a head turned to the own left; one high is a raised chin."""
    level = HEAD[:, :2].copy()
    level[2] += (8, 0)
    assert head_pose(level).yaw > 10
    raised = HEAD[:, :2].copy()
    raised[2] -= (0, 8)
    assert head_pose(raised).pitch - head_pose(HEAD[:, :2]).pitch > 10
    leaning = HEAD[:, :2] @ np.array([[0, 1], [-1, 0]])  # y is down: clockwise by 90
    assert head_pose(leaning).roll == pytest.approx(90)


def test_a_pixel_of_noise_does_not_turn_a_head_around() -> None:
    chance = np.random.default_rng(4)
    for _ in range(50):
        pose = head_pose(seen(10, 20, 0) + chance.normal(0, 1, (5, 2)))
        assert pose.yaw == pytest.approx(20, abs=10)
        assert pose.roll == pytest.approx(10, abs=5)


def test_landmarks_in_one_point_have_finite_angles() -> None:
    pose = head_pose(np.full((5, 2), 7.0))
    assert np.isfinite((pose.roll, pose.yaw, pose.pitch)).all()


@pytest.mark.parametrize(
    ("declared", "yaw", "pitch", "expected"),
    [
        ("front", 0, 0, True),
        ("front", -14, 12, True),
        ("front", 32, 0, False),
        ("front", 0, -30, False),
        ("left", 30, 0, True),
        ("LEFT ", 30, 0, True),
        ("left", -30, 0, False),
        ("left", 2, 0, False),
        ("right", -25, 5, True),
        ("right", 25, 5, False),
        ("up", 0, 15, True),
        ("up", 0, -15, False),
        ("down", 3, -15, True),
        ("down", 3, 0, False),
        ("", 0, 0, None),
        ("smiling", 0, 0, None),
    ],
)
def test_a_declared_pose_is_checked(
    declared: str, yaw: float, pitch: float, expected: bool | None
) -> None:
    assert pose_matches(declared, HeadPose(0, yaw, pitch)) is expected
