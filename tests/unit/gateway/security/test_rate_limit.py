from __future__ import annotations

import limits

from gateway.security.rate_limit import MovingWindows


def test_a_moving_window() -> None:
    now = [1000.0]
    windows = MovingWindows(ticks=lambda: now[0])
    limit = limits.parse("3/minute")
    assert [windows.use("a", limit) for _ in range(4)] == [None, None, None, 60]
    assert windows.use("b", limit) is None  # each key has its own
    now[0] += 59.5
    assert windows.use("a", limit) == 1
    now[0] += 0.5
    assert [windows.use("a", limit) for _ in range(4)] == [None, None, None, 60]


def test_uses_count_one_by_one_as_they_grow_old() -> None:
    now = [0.0]
    windows = MovingWindows(ticks=lambda: now[0])
    limit = limits.parse("2 per 10 second")
    allowed = 0
    for _ in range(1000):
        allowed += windows.use("a", limit) is None
        now[0] += 0.1
    assert 20 <= allowed <= 22


def test_a_refused_use_does_not_count() -> None:
    now = [0.0]
    windows = MovingWindows(ticks=lambda: now[0])
    limit = limits.parse("1/second")
    assert windows.use("a", limit) is None
    for _ in range(9):
        now[0] += 0.1
        assert windows.use("a", limit) == 1
    now[0] += 0.2
    assert windows.use("a", limit) is None


def test_a_lower_limit_holds_at_once() -> None:
    windows = MovingWindows(ticks=lambda: 5.0)
    for _ in range(9):
        assert windows.use("a", limits.parse("9/hour")) is None
    assert windows.use("a", limits.parse("2/hour")) == 3600
