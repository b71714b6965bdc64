"""Types and channels of frames, and the mask's corners."""

from __future__ import annotations

import numpy as np
import pytest
from frames.pixels import Mask, network_input, write_mouths

from tests.support.lipsync_tenants import frames, with_masked

MASK = Mask.parse("5,5,310,305")


def scratch(count: int = 2) -> np.ndarray:
    return np.full((count, 6, 320, 320), 7, np.float32)  # leftovers of another tenant


def test_full_precision_frames_are_not_copied() -> None:
    given = frames(1)
    assert network_input(given, MASK, scratch()) is given


def test_the_derived_channels_are_the_face_with_a_black_rectangle_corners_included() -> None:
    face = frames(2, channels=3) + 1
    got = network_input(face, MASK, scratch())
    np.testing.assert_array_equal(got, with_masked(face))
    masked = got[0, 3]
    assert masked[5, 5] == masked[305, 310] == 0
    assert masked[4, 5] != 0
    assert masked[5, 4] != 0
    assert masked[306, 310] != 0
    assert masked[305, 311] != 0


@pytest.mark.parametrize("channels", [3, 6])
def test_bytes_are_divided_by_255(channels: int) -> None:
    given = np.random.default_rng(0).integers(0, 256, (1, channels, 320, 320), np.uint8)
    got = network_input(given, MASK, scratch())
    expected = given.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(got, expected if channels == 6 else with_masked(expected))


def test_half_precision_keeps_its_values() -> None:
    given = frames(1).astype(np.float16)
    np.testing.assert_array_equal(network_input(given, MASK, scratch()), given.astype(np.float32))


def test_mouths_as_bytes_are_rounded_and_in_range() -> None:
    values = np.array([0, 1, 0.5, 1.2, -0.1, 254.4 / 255, 254.6 / 255], np.float32)
    target = np.empty(7, np.uint8)
    write_mouths(values, target)
    assert target.tolist() == [0, 255, 128, 255, 0, 254, 255]


def test_mouths_in_the_other_types() -> None:
    values = frames(1)
    for kind in (np.float32, np.float16):
        target = np.empty(values.shape, kind)
        write_mouths(values, target)
        np.testing.assert_array_equal(target, values.astype(kind))


@pytest.mark.parametrize("text", ["", "1,2,3", "5,5,320,305", "10,5,9,305", "a,b,c,d", "-1,0,1,1"])
def test_a_mask_outside_the_frame_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Mask.parse(text)
