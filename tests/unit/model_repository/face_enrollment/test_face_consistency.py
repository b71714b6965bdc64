"""The picture of somebody else among an enrollment's pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from enrollment.refusals import RefusedError
from enrollment.reports import reports, without_odd_ones
from faces.consistency import consistencies, odd_ones
from faces.pose import HeadPose
from faces.quality import Quality
from faces.search import SearchResult

A, B, C = np.eye(3, dtype=np.float32)
GOOD = SearchResult(crops=np.zeros((1, 112, 112, 3), np.uint8))
NONE = SearchResult(reason="no_face")


def of(*vectors: np.ndarray | None, noise: float = 0.2) -> list[np.ndarray | None]:
    """Two embeddings of each picture, none where there is none."""
    chance = np.random.default_rng(3)
    return [
        None if one is None else (one * 9 + chance.normal(0, noise, (2, 3))).astype(np.float32)
        for one in vectors
    ]


def test_consistency_is_the_cosine_to_the_mean_of_the_others() -> None:
    pictures = of(A, None, A + B, B, noise=0)
    first, none, second, third = consistencies(pictures, pictures)
    assert none is None
    assert first == pytest.approx(1 / 5**0.5)  # (1, 0) to (1, 2)
    assert second == pytest.approx(1)
    assert third == pytest.approx(first)


def test_one_picture_has_nobody_to_agree_with() -> None:
    assert consistencies(of(A), of(A)) == [None]
    assert consistencies(of(None, A), of(None, A)) == [None, None]


def test_of_vectors_without_direction_nothing_is_said() -> None:
    pictures = [np.zeros((1, 3), np.float32), *of(A), np.full((1, 3), np.nan, np.float32)]
    assert consistencies(pictures, pictures)[0] is None
    assert consistencies(pictures, pictures)[2] is None


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ((A, A, A, A, A), []),
        ((A, A, B, A, A), [2]),
        ((B, A, A), [0]),
        ((A, B, A, C, A), [1, 3]),
        ((A, None, A, B), [3]),
        ((A,), []),
        ((), []),
    ],
)
def test_the_odd_ones_are_found(pictures: Sequence[np.ndarray | None], expected: list[int]) -> None:
    assert odd_ones(of(*pictures), 0.4) == expected


def test_the_odd_one_does_not_count_and_is_told_why() -> None:
    embeddings = of(A, B, A)
    found, kept = without_odd_ones([GOOD, GOOD, GOOD], embeddings, 0.4)
    assert [one.reason for one in found] == [None, "face_differs", None]
    assert [one.crops is not None for one in found] == [True, False, True]
    assert kept[1] is None
    told = reports(found, ["", "", ""], embeddings, kept, 0.4)
    assert [one["consistent"] for one in told] == [True, False, True]
    assert told[0]["consistency"] == pytest.approx(1, abs=0.01)  # the odd one counts no more
    assert told[1]["consistency"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("pictures", [(A, B), (A, B, C), (A, A, B, B), (None, B, A)])
def test_without_a_majority_nobody_is_chosen(pictures: Sequence[np.ndarray | None]) -> None:
    with pytest.raises(RefusedError, match=r"faces_differ: index=\d"):
        without_odd_ones([GOOD] * len(pictures), of(*pictures), 0.4)


def test_pictures_of_one_person_stay_as_they_are() -> None:
    embeddings = of(A, None, A)
    found, kept = without_odd_ones([GOOD, NONE, GOOD], embeddings, 0.4)
    assert found == [GOOD, NONE, GOOD]
    assert [one is None for one in kept] == [False, True, False]


def test_what_nobody_measured_is_not_judged() -> None:
    embeddings = of(A, B)
    told = reports([GOOD, GOOD], ["front", "left"], embeddings, embeddings, None)
    assert [one["consistent"] for one in told] == [None, None]
    assert told[0]["consistency"] == pytest.approx(0, abs=0.1)
    assert [one["quality"] for one in told] == [None, None]
    assert [one["pose_matches"] for one in told] == [None, None]


def test_quality_and_pose_are_told() -> None:
    quality = Quality(size=120, pose=HeadPose(1, 30, 0), sharpness=200, brightness=120)
    found = [SearchResult(crops=GOOD.crops, quality=quality)] * 2
    front, left = reports(found, ["front", "left"], of(A, A), of(A, A), 0.4)
    assert (front["pose_matches"], left["pose_matches"]) == (False, True)
    assert front["quality"] == quality.report()
