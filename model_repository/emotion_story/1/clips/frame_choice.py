"""Which frames of a clip are looked at. Pure Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

SNAP = 0.3
"""Share of the distance between two wanted frames by which one may move to a key frame: those are
decoded alone, any other one after all frames since the last key frame."""

LONG = 1000
"""Frames of a clip from which evenness matters less than cost: then any key frame in its part is
taken."""


def choose_frames(times: Sequence[int], keys: Sequence[int], count: int) -> list[int]:
    """Time of the frames to look at: one in the middle of each of `count` equal parts.

    Args:
        times: Presentation times of all frames, ascending and distinct, in any unit.
        keys: Those of them that are key frames, ascending.
        count: How many are wanted.

    Returns:
        At most `count` of `times`, ascending and distinct; all of them where there are no more.
    """
    if len(times) <= count:
        return list(times)
    # Each frame lasts until the next one, the last one as long as they do on average.
    first, span = times[0], times[-1] - times[0]
    part = (span + span / (len(times) - 1)) / count
    reach = (0.5 if len(times) > LONG else SNAP) * part
    chosen = set()
    for number in range(count):
        middle = first + (number + 0.5) * part
        key = nearest(keys, middle) if keys else None
        if key is None or abs(key - middle) > reach:
            key = nearest(times, middle)
        chosen.add(key)
    return sorted(chosen)


def nearest(values: Sequence[int], wanted: float) -> int:
    """Return the value closest to `wanted`, the earlier one of two.

    Args:
        values: Ascending, at least one.
        wanted: Any number.
    """
    place = bisect_left(values, wanted)
    around = values[max(place - 1, 0) : place + 1]
    return min(around, key=lambda value: abs(value - wanted))


def last_key(keys: Sequence[int], time: int) -> int | None:
    """Return the key frame that decoding starts from to reach the frame at `time`."""
    place = bisect_right(keys, time)
    return keys[place - 1] if place else None
