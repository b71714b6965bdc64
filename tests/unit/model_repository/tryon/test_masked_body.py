"""What is behind a green mask: outlines from landmarks, colours from what is seen around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from body.frame import BodyFrame
from body.pose import HIPS, KNEES, WRISTS, BodyPose
from garment.parts import GarmentParts, torso_target
from tryon_errors import PoseError
from warping.hidden_picture import spread, uncovered
from warping.masked_body import MaskedBody, body_behind, hem_behind, joined, outline_of

SIZE = (600, 700)
LEGS = (60, 90, 160)
SKIN = (205, 160, 140)
GROUND = (200, 205, 210)


def body() -> BodyFrame:
    """Somebody with hanging arms, 100 pixels half the shoulders."""
    arms = [[(300 + s * 100, 200), (300 + s * 125, 330), (300 + s * 130, 450)] for s in (-1, 1)]
    hands = np.array([[(300 + s * 130, 490)] * 3 for s in (-1, 1)], float)
    face = np.array([(300, 70), (338, 62), (262, 62), (285, 90), (315, 90)], float)
    across, down = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    origin = np.array([300.0, 200.0])
    return BodyFrame(origin, across, down, 100.0, 250.0, np.array(arms, float), hands, face)


def pose(wrists: float = 0.9) -> BodyPose:
    points = np.zeros((33, 2), np.float32)
    points[list(HIPS)] = (345, 450), (255, 450)
    points[list(KNEES)] = (345, 640), (255, 640)
    points[list(WRISTS)] = (430, 450), (170, 450)
    seen = np.ones(33, np.float32)
    seen[list(WRISTS)] = wrists
    mask = np.zeros(SIZE[::-1], np.float32)
    mask[30:200, 250:350] = 1
    mask[200:500, 180:420] = 1
    mask[450:, 200:285] = mask[450:, 315:400] = 1
    return BodyPose(points, seen, mask)


def picture() -> np.ndarray:
    made = np.full((*SIZE[::-1], 3), GROUND, np.uint8)
    made[30:200, 250:350] = SKIN
    made[450:, 200:285] = made[450:, 315:400] = LEGS
    return made


def green(left: int, right: int, top: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], bool)
    mask[top:bottom, left:right] = True
    return mask


def sleeveless() -> GarmentParts:
    return GarmentParts(np.zeros((2, 2), np.uint8), np.zeros((11, 2)), 1.0, (None, None), hem=1.0)


def behind(mask: np.ndarray, wrists: float = 0.9) -> MaskedBody:
    frame, parts = body(), sleeveless()
    target = torso_target(frame, parts, np.ones(mask.shape, bool), 0.0)
    return body_behind(frame, pose(wrists), parts, target, mask)


def test_a_wide_mask_holds_torso_arms_legs_and_background() -> None:
    found = behind(green(40, 560, 180, 560))
    assert found.torso[300, 210:390].all()
    assert not found.torso[300, 40:180].any()
    assert found.arms[0][300, 175] or found.arms[0][300, 180]
    assert not found.arms[0][:, 300:].any()
    assert not found.arms[1][:, :300].any()
    assert found.legs[540, 215:280].all()
    assert not found.legs[540, 40:190].any()
    assert not found.legs[558, 300]  # between the legs
    assert found.row == 560
    everything = found.torso | found.legs | found.neck | found.arms[0] | found.arms[1]
    assert not everything[200:560, 40:130].any()


@pytest.mark.parametrize(
    ("mask", "wrists", "words"),
    [
        (green(40, 560, 40, 560), 0.9, "the mask hides the face"),
        (green(40, 560, 180, 560), 0.1, "the mask hides the arms"),
    ],
)
def test_too_much_is_hidden(mask: np.ndarray, wrists: float, words: str) -> None:
    with pytest.raises(PoseError, match=words):
        behind(mask, wrists)


def test_wrists_that_are_seen_are_no_guess() -> None:
    assert behind(green(220, 380, 180, 560), wrists=0.1).arms[0].any()


def shown(mask: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    masked = picture()
    masked[mask] = (0, 255, 0)
    person = (pose().mask > 0.5) & ~mask if seen is None else seen
    skin = (masked == SKIN).all(axis=-1)
    found = behind(mask)
    return uncovered(masked, mask, person, skin, found, found.torso, body())


def test_behind_the_mask_are_background_skin_and_legs() -> None:
    mask = green(40, 560, 180, 560)
    made = shown(mask)
    assert (made[~mask] == picture()[~mask]).all()
    assert np.abs(made[300, 45:120].astype(int) - GROUND).max() <= 2
    assert np.abs(made[540, 225:275].astype(int) - LEGS).max() <= 4
    arm = made[380, 166:180].astype(int)
    assert np.abs(arm - SKIN).max() < 50
    assert (arm[:, 0] > arm[:, 2] + 30).all()


def test_what_nobody_can_see_is_not_shown() -> None:
    with pytest.raises(PoseError, match="below the garment"):
        shown(green(40, 560, 180, SIZE[1]))
    everywhere = green(0, SIZE[0], 0, SIZE[1])
    everywhere[30:170, 250:350] = False
    with pytest.raises(PoseError, match="background"):
        shown(everywhere)
    with pytest.raises(PoseError, match="skin"):
        shown(green(40, 560, 180, 560), seen=np.zeros(SIZE[::-1], bool))


def test_colours_spread_smoothly_and_stay_where_they_are_known() -> None:
    ramp = np.repeat(np.linspace(40, 220, 240)[None, :, None], 200, axis=0)
    ramp = np.repeat(ramp, 3, axis=2).astype(np.float32)
    known = np.ones(ramp.shape[:2], bool)
    known[40:160, 60:180] = False
    made = spread(np.where(known[..., None], ramp, 0), known)
    assert made[known] == pytest.approx(ramp[known])
    assert np.abs(made - ramp).max() < 25
    assert np.abs(np.diff(made[100], axis=0)).max() < 6
    one = np.zeros(ramp.shape[:2], bool)
    one[7, 11] = True
    assert spread(ramp, one)[190, 230] == pytest.approx(ramp[7, 11], abs=0.5)


def test_a_garment_ends_at_the_picture_s_end_where_the_mask_does() -> None:
    assert hem_behind(body(), green(200, 400, 200, 500)) == 0
    assert hem_behind(body(), green(200, 400, 200, SIZE[1])) == pytest.approx(2.0)


def test_steps_at_the_shoulders_are_filled() -> None:
    steps = green(215, 385, 200, 450)
    steps[215:430, 185:205] = steps[215:430, 395:415] = True
    found = outline_of(steps, body())
    assert found[240:270, 190:410].all()
    assert (found[300:] == steps[300:]).all()


def test_a_gap_to_the_body_beside_the_mask_is_closed() -> None:
    mask = green(150, 450, 200, 500)
    part, seen = green(170, 400, 220, 440), green(120, 150, 250, 400)
    found = joined(part, seen, mask, body())
    assert found[300, 150:170].all()
    assert (found & ~part)[:, 300:].sum() == 0
    assert (found | ~mask | part)[260:390].sum() >= part[260:390].sum()
    assert (joined(part, green(120, 150, 300, 304), mask, body()) == part).all()  # a sliver
    assert cv2.countNonZero(found.astype(np.uint8)) < cv2.countNonZero(mask.astype(np.uint8))
