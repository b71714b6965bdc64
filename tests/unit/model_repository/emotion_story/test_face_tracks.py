"""Faces of successive frames are joined into the people they belong to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories.face_tracks import MIN_AFFINITY, PATIENCE, affinity, follow

EMPTY = np.zeros((0, 4), np.float32)


def box(x: float, y: float, side: float = 100) -> np.ndarray:
    return np.array([x, y, x + side, y + side], np.float32)


def test_two_people_are_kept_apart_whatever_the_order_of_their_faces() -> None:
    left = [box(10 * step, 100) for step in range(6)]
    right = [box(400 - 10 * step, 100) for step in range(6)]
    frames = [
        np.stack((one, two) if step % 2 else (two, one))
        for step, (one, two) in enumerate(zip(left, right, strict=True))
    ]
    tracks = follow(frames)
    assert len(tracks) == 2
    assert {len(track.faces) for track in tracks} == {6}
    for track in tracks:
        steps = np.diff(track.boxes[:, 0])
        assert np.all(steps == 10) or np.all(steps == -10)


def test_a_head_that_moves_further_than_it_is_wide_stays_the_same_person() -> None:
    frames = [box(0, 0)[None], box(110, 0)[None], box(20, 40)[None]]
    assert [sorted(track.faces) for track in follow(frames)] == [[0, 1, 2]]


def test_a_face_of_another_size_is_somebody_else() -> None:
    assert len(follow([box(0, 0, 200)[None], box(80, 80, 40)[None]])) == 2


def test_somebody_who_is_out_of_sight_is_known_again_for_a_while() -> None:
    seen, away = [box(50, 50)[None]], [EMPTY]
    assert len(follow(seen + away * (PATIENCE - 1) + seen)) == 1
    assert len(follow(seen + away * PATIENCE + seen)) == 2


def test_who_shows_most_face_for_longest_comes_first() -> None:
    brief, long = box(0, 0, 120), box(400, 0, 100)
    tracks = follow([np.stack((brief, long)), long[None], long[None]])
    assert [track.middle for track in tracks] == [450, 60]
    assert tracks[0].area == pytest.approx(10_000)


def test_no_face_no_people() -> None:
    assert follow([]) == []
    assert follow([EMPTY, EMPTY]) == []


BOXES = st.builds(box, st.integers(0, 500), st.integers(0, 300), st.integers(1, 200))
FRAMES = st.lists(
    st.lists(BOXES, max_size=4).map(lambda found: np.stack(found) if found else EMPTY), max_size=8
)


@given(FRAMES)
def test_every_face_belongs_to_one_person(frames: list[np.ndarray]) -> None:
    tracks = follow(frames)
    faces = [(frame, face) for track in tracks for frame, face in track.faces.items()]
    assert sorted(faces) == [
        (n, face) for n, boxes in enumerate(frames) for face in range(len(boxes))
    ]
    for track in tracks:
        assert list(track.faces) == sorted(track.faces)
        assert len(track.boxes) == len(track.faces)


@given(BOXES, BOXES)
def test_affinity_is_a_symmetric_share(one: np.ndarray, two: np.ndarray) -> None:
    assert affinity(one, one) == pytest.approx(1)
    assert 0 <= affinity(one, two) <= 1
    assert affinity(one, two) == pytest.approx(affinity(two, one))
    assert affinity(box(0, 0), box(1000, 0)) < MIN_AFFINITY
    assert affinity(one, np.zeros(4, np.float32)) == 0
