"""The frames that are looked at are spread over the clip, and cheap where that costs nothing."""

from __future__ import annotations

from clips.frame_choice import LONG, SNAP, choose_frames, last_key, nearest
from hypothesis import given
from hypothesis import strategies as st

TIMES = st.lists(st.integers(-(10**6), 10**9), min_size=1, max_size=200, unique=True).map(sorted)


@given(TIMES, st.integers(1, 64), st.data())
def test_a_choice_is_in_order(times: list[int], count: int, draws: st.DataObject) -> None:
    keys = draws.draw(st.lists(st.sampled_from(times), unique=True).map(sorted))
    chosen = choose_frames(times, keys, count)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(times)
    assert 1 <= len(chosen) <= count
    if len(times) <= count:
        assert chosen == times


@given(st.integers(1, 40), st.integers(41, 400), st.integers(1, 60))
def test_regular_frames_leave_no_gap(count: int, frames: int, gop: int) -> None:
    times = list(range(0, frames * 40, 40))
    chosen = choose_frames(times, times[::gop], count)
    part = frames * 40 / count
    assert len(chosen) == count
    for number, at in enumerate(chosen):
        assert abs(at - (number + 0.5) * part) <= max(SNAP * part, 40)


def test_near_key_frames_are_preferred() -> None:
    times = list(range(0, 1000, 10))
    assert choose_frames(times, [0, 240, 500, 910], 2) == [240, 750]
    assert choose_frames(times, [], 2) == [250, 750]


def test_long_clips_are_sampled_at_key_frames() -> None:
    times = list(range(0, 40 * (LONG + 400), 40))
    keys = times[10::50]
    assert set(choose_frames(times, keys, 16)) <= set(keys)


def test_variable_rate_is_spread_by_time_not_by_number() -> None:
    times = [*range(100), 1000, 2000, 3000]
    assert choose_frames(times, [], 3) == [99, 2000, 3000]


def test_nearest_and_last_key() -> None:
    assert nearest([1, 5, 9], 7) == 5
    assert nearest([1, 5, 9], -3) == 1
    assert nearest([1, 5, 9], 100) == 9
    assert last_key([0, 50], 49) == 0
    assert last_key([0, 50], 50) == 50
    assert last_key([10], 5) is None
