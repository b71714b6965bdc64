"""Anchors, splines, cut-outs and the green mask; the networks themselves are in tests/triton."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from body.frame import BodyFrame
from body.green_mask import find_green
from body.pose import SIDE, anchors, best_body, square_of
from garment.flat import cut_flat, flat_parts
from garment.parts import ARMPIT, GarmentParts, Sleeve, along_arm, torso_target
from garment.worn import hem_of
from hypothesis import given
from hypothesis import strategies as st
from tryon_errors import GarmentError
from warping.arm_rest import below_sleeves
from warping.blend import blend, nearest_colours, shading
from warping.engine import stay_of_hands
from warping.thin_plate import spline_maps

from load_tests.originals import originals
from tests.support.tryon_pictures import CACHE

LEFT_SLEEVE = (150, 180, 90, 220, 40, 170)
POINT = st.tuples(st.floats(-200, 200), st.floats(-200, 200))


def test_anchors_fill_the_detectors_input() -> None:
    found = anchors()
    assert found.shape == (2254, 2)
    assert found[:4].tolist() == [[4, 4], [4, 4], [12, 4], [12, 4]]
    assert found[-1].tolist() == [208, 208]
    assert found.min() == 4
    assert found.max() == SIDE - 4


def test_the_best_anchor_gives_its_points() -> None:
    raw, logits = np.zeros((2254, 12), np.float32), np.full(2254, -9.0, np.float32)
    raw[1000, 4:8], logits[1000] = (1, 2, 3, -40), 3.0
    points, score = best_body(raw, logits)
    assert points.tolist() == (anchors()[1000] + [[1, 2], [3, -40]]).tolist()
    assert score == pytest.approx(0.9526, abs=1e-3)
    logits[1000] = -0.1
    assert best_body(raw, logits) is None


@given(POINT, st.floats(5, 300), st.floats(-3, 3))
def test_the_square_stands_on_the_body(
    hips: tuple[float, float], reach: float, turn: float
) -> None:
    up = np.array([np.sin(turn), -np.cos(turn)])
    matrix = square_of(np.array(hips), np.array(hips) + reach * up).matrix(256)
    center = matrix @ [128, 128, 1]
    top = matrix @ [128, 128 - 128 / 1.25, 1]
    assert center == pytest.approx(hips, abs=1e-6)
    assert top == pytest.approx(np.array(hips) + reach * up, abs=1e-6)


def test_a_spline_goes_through_its_points() -> None:
    rng = np.random.default_rng(3)
    target = np.array([[20, 20], [180, 30], [25, 170], [170, 180], [100, 90]], float)
    source = target + rng.uniform(-12, 12, target.shape)
    x, y = spline_maps(target, source, (200, 200))
    for place, wanted in zip(target.astype(int), source, strict=True):
        assert x[place[1], place[0]] == pytest.approx(wanted[0], abs=1.5)
        assert y[place[1], place[0]] == pytest.approx(wanted[1], abs=1.5)


@given(st.floats(0.5, 2), st.floats(-0.5, 0.5), st.floats(-30, 30))
def test_a_spline_of_an_affine_map_is_that_map(scale: float, shear: float, shift: float) -> None:
    target = np.array([[10, 12], [90, 8], [14, 88], [85, 93], [50, 40]], float)
    turn = np.array([[scale, shear], [-shear, scale]])
    x, y = spline_maps(target, target @ turn.T + shift, (101, 97))
    places = np.stack(np.meshgrid(np.arange(101), np.arange(97)), -1) @ turn.T + shift
    assert np.abs(x - places[..., 0]).max() < 0.05
    assert np.abs(y - places[..., 1]).max() < 0.05


def shirt(
    size: int = 480, colour: tuple[int, ...] = (180, 40, 60), ground: int = 235
) -> np.ndarray:
    """A drawn tee on a plain ground."""
    picture = np.full((size, size, 3), ground, np.uint8)
    outline = np.array(
        [170, 60, 310, 60, 440, 170, 390, 220, 330, 180, 330, 430, 150, 430, *LEFT_SLEEVE]
    ).reshape(-1, 2)
    cv2.fillPoly(picture, [outline * size // 480], colour)
    return picture


@pytest.mark.parametrize("size", [240, 480, 900])
@pytest.mark.parametrize("colour", [(180, 40, 60), (20, 20, 20), (250, 250, 252)])
def test_a_drawn_shirt_is_cut_out(size: int, colour: tuple[int, int, int]) -> None:
    picture = shirt(size, colour)
    mask = cut_flat(picture, None, seed=1)
    wanted = (picture != 235).any(axis=-1)
    overlap = (wanted & (mask > 0)).sum() / (wanted | (mask > 0)).sum()
    assert overlap > 0.95
    parts = flat_parts(mask)
    scale = size / 480
    assert parts.torso[7][0] == pytest.approx(150 * scale, abs=8 * scale)
    assert parts.torso[8][0] == pytest.approx(330 * scale, abs=8 * scale)
    assert parts.tall == pytest.approx(2.0, abs=0.25)
    left, right = parts.sleeves
    assert left is not None
    assert right is not None
    assert left.outer[-1][0] < 120 * scale
    assert right.outer[-1][0] > 360 * scale
    assert left.length == pytest.approx(right.length, abs=0.1)


def shaded(level: int, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """A drawn garment of a grey level with a soft shadow below, and where it is."""
    picture = np.full((500, 400, 3), 245, np.float32)
    for row in range(40):
        picture[380 + row, 100:300] = edge + (245 - edge) * row / 40
    picture[100:380, 100:300] = level
    where = np.zeros(picture.shape[:2], bool)
    where[100:380, 100:300] = True
    return cv2.GaussianBlur(picture, (0, 0), 0.7).astype(np.uint8), where


@pytest.mark.parametrize(("level", "edge"), [(150, 80), (200, 110), (30, 60)])
def test_a_shadow_is_not_the_garment_s(level: int, edge: float) -> None:
    picture, where = shaded(level, edge)
    mask = cut_flat(picture, None, seed=1) > 0
    assert (mask & where).sum() > 0.95 * where.sum()  # its edge may go
    assert mask[400:].sum() < 200
    assert mask[392:, 110:290].mean() < 0.08


def body() -> BodyFrame:
    """Somebody with hanging arms, 100 pixels half the shoulders."""
    arms = [[(300 + s * 100, 200), (300 + s * 120, 320), (300 + s * 120, 440)] for s in (-1, 1)]
    hands = np.array([[(300 + s * 120, 480)] * 3 for s in (-1, 1)], float)
    across, down = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    origin, face = np.array([300.0, 200.0]), np.full((5, 2), (300.0, 120.0))
    return BodyFrame(origin, across, down, 100.0, 250.0, np.array(arms, float), hands, face)


@pytest.mark.parametrize(("worn", "row"), [(0.3, 272), (0.5, 320), (None, 200)])
def test_arms_are_free_below_the_sleeves(worn: float | None, row: int) -> None:
    points = np.zeros((5, 2))
    none = np.zeros((2, 2), np.uint8)
    sleeve = worn and Sleeve(none, points, points, 0.0, (0.0, 1.0), worn)
    parts = GarmentParts(none, np.zeros((11, 2)), 1.0, (sleeve or None, None))
    free = below_sleeves(body(), parts, (600, 600))
    left = np.flatnonzero(free[:, 180])
    assert left[0] == pytest.approx(row, abs=4)
    assert left[-1] >= 440
    assert np.flatnonzero(free[:, 420])[0] == pytest.approx(200, abs=4)
    assert not free[:, 225:375].any()  # the torso


def test_long_sleeves_leave_nothing_free() -> None:
    points = np.zeros((5, 2))
    sleeve = Sleeve(np.zeros((2, 2), np.uint8), points, points, 0.0, (0.0, 1.0), 0.8)
    parts = GarmentParts(sleeve.mask, np.zeros((11, 2)), 1.0, (sleeve, sleeve))
    assert not below_sleeves(body(), parts, (600, 600)).any()


@pytest.mark.parametrize("gloves", [False, True])
def test_only_the_hand_stays_of_what_is_around_it(gloves: bool) -> None:
    around, rest = np.zeros((60, 60), bool), np.ones((60, 60), bool)
    around[10:50, 10:50] = True
    skin = np.zeros_like(around)
    if not gloves:
        skin[10:50, 10:30] = True
    kept = stay_of_hands(around, rest, skin)
    assert kept[20:40, 12:28].all()
    assert kept[20:40, 36:48].all() == gloves
    assert not kept[:, 52:].any()


@pytest.mark.parametrize(("old", "wanted"), [(0.0, 1.0), (1.1, 1.1), (1.6, 1.25)])
def test_a_garment_is_stretched_over_the_old_hem(old: float, wanted: float) -> None:
    parts = GarmentParts(np.zeros((2, 2), np.uint8), np.zeros((11, 2)), 1.0, (None, None), hem=1.0)
    person = np.ones((600, 600), bool)
    target = torso_target(body(), parts, person, old)
    bottom = (target[9:, 1].mean() - 200) / 250
    assert bottom == pytest.approx(ARMPIT + 0.94 * (wanted - ARMPIT), abs=0.01)


def test_the_hem_of_what_is_worn() -> None:
    mask = np.zeros((600, 600), np.uint8)
    assert hem_of(mask, body()) == 0
    mask[180:450, 240:360] = 1
    assert hem_of(mask, body()) == pytest.approx(1.0, abs=0.02)


def test_transparency_is_the_outline() -> None:
    picture = shirt()
    alpha = np.where((picture != 235).any(axis=-1), 255, 0).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, picture.shape).astype(np.uint8)
    assert (cut_flat(noise, alpha, 1) == (alpha > 0)).mean() > 0.99


@pytest.mark.parametrize(
    "name", ["coffee.png", "chelsea.png", "hubble_deep_field.jpg", "brick.png"]
)
def test_pictures_without_a_garment_are_refused(name: str) -> None:
    picture = cv2.imread(str(originals(CACHE) / name))
    with pytest.raises(GarmentError):
        flat_parts(cut_flat(picture, None, 1))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_is_refused(level: int) -> None:
    with pytest.raises(GarmentError):
        cut_flat(np.full((300, 200, 3), level, np.uint8), None, 1)


def test_two_things_are_refused() -> None:
    picture = np.full((300, 400, 3), 240, np.uint8)
    picture[50:250, 40:170] = picture[50:250, 230:360] = (30, 60, 200)
    with pytest.raises(GarmentError, match="several"):
        cut_flat(picture, None, 1)


def test_the_green_mask_is_found_with_its_fringe() -> None:
    picture = np.random.default_rng(0).integers(60, 140, (200, 160, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(picture, (0, 0), 3)
    assert find_green(picture) is None
    picture[60:140, 40:120] = (0, 255, 0)
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    found = find_green(cv2.imdecode(coded, 1))
    assert found[60:140, 40:120].all()
    assert found.mean() < 1.35 * 80 * 80 / (200 * 160)
    grass = np.full((100, 100, 3), (90, 140, 60), np.uint8)
    assert find_green(grass) is None


def test_nothing_changes_where_the_picture_stays() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (80, 60, 3)).astype(np.uint8)
    stay = np.zeros((80, 60), bool)
    stay[:30] = True
    cover = np.zeros((80, 60), bool)
    cover[20:60, 10:50] = True
    alpha = np.zeros((80, 60), np.float32)
    alpha[35:50, 20:40] = 1
    garment = np.full((80, 60, 3), (10, 200, 30), np.float32)
    made, share = blend(picture, garment, alpha, cover, stay, np.ones_like(alpha), 2.0)
    assert (made[:29] == picture[:29]).all()
    assert (made[66:] == picture[66:]).all()
    # Covered where the garment itself does not reach.
    assert np.abs(made[55, 15:45].astype(int) - [10, 200, 30]).max() < 4
    assert share[40, 30] == pytest.approx(1)


def test_colours_come_from_the_nearest_pixel() -> None:
    colours = np.zeros((40, 40, 3), np.float32)
    colours[:, :20], colours[:, 20:] = (200, 0, 0), (0, 0, 200)
    known = np.zeros((40, 40), bool)
    known[18:22, 4:8] = known[18:22, 32:36] = True
    found = nearest_colours(colours, known, 0.5)
    assert found[2, 2, 0] == pytest.approx(200, abs=1)
    assert found[38, 38, 2] == pytest.approx(200, abs=1)


def test_folds_shade_and_colours_do_not() -> None:
    plain = np.full((200, 200, 3), 120, np.uint8)
    old = np.zeros((200, 200), bool)
    old[20:180, 20:180] = True
    assert shading(plain, old, 60) == pytest.approx(np.ones((200, 200)), abs=0.01)
    folded = plain.copy()
    folded[:, 95:105] = 100
    assert shading(folded, old, 60)[100, 100] < 0.97
    two = plain.copy()
    two[:, 80:120] = 245  # an open jacket over a shirt
    shade = shading(two, old, 60)
    assert shade[100, 100] == pytest.approx(shade[100, 50], abs=0.05)


def test_points_along_an_arm() -> None:
    arm = np.array([[0.0, 0], [0, 10], [10, 10]])
    point, direction = along_arm(arm, 0.25)
    assert point.tolist() == [0, 5]
    assert direction == pytest.approx([0, 1])
    point, direction = along_arm(arm, 1.0)
    assert point.tolist() == [10, 10]
    assert direction == pytest.approx([1, 0])
