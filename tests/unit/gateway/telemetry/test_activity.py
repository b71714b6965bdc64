"""The last minute of a service."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.activity import GROWTH, RECENT, WINDOW, Activity


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_old_seconds_are_forgotten() -> None:
    clock = Clock()
    activity = Activity(clock)
    for _ in range(2 * WINDOW):
        activity.answered("text", "/embed", 200, 0.01, None)
        clock.now += 1
    assert activity.summary("text")["requests_per_second"] == pytest.approx(1, rel=0.02)
    clock.now += WINDOW
    found = activity.summary("text")
    assert (found["requests_per_second"], found["p50_ms"]) == (0, None)


def test_a_young_gateway_divides_by_its_age() -> None:
    clock = Clock()
    activity = Activity(clock)
    for _ in range(20):
        activity.answered("text", "/embed", 503, 0.01, "busy")
    clock.now += 10
    found = activity.summary("text")
    assert found["requests_per_second"] == found["errors_per_second"] == 2


@given(st.lists(st.floats(1e-4, 50), min_size=1, max_size=200))
def test_percentiles_are_a_bucket_from_the_true_ones(seconds: list[float]) -> None:
    activity = Activity(Clock())
    for value in seconds:
        activity.answered("text", "/embed", 200, value, None)
    found = activity.summary("text")
    for name, share in (("p50_ms", 50), ("p95_ms", 95)):
        true = float(np.percentile(seconds, share, method="inverted_cdf")) * 1000
        assert true / GROWTH <= found[name] * 1.01
        assert found[name] <= true * GROWTH * 1.01


def test_errors_newest_first_and_bounded() -> None:
    activity = Activity(Clock())
    for number in range(RECENT + 5):
        activity.answered("vision", "/infer", 400, 0.1, f"problem {number}")
    activity.answered("vision", "/infer", 401, 0.1, "Unauthorized")
    errors = activity.summary("vision")["recent_errors"]
    assert len(errors) == RECENT
    assert errors[0]["detail"] == f"problem {RECENT + 4}"


def test_details_are_one_line_without_inputs() -> None:
    activity = Activity(Clock())
    detail = [{"loc": ["body", "texts", 0], "msg": "too long", "input": "private"}]
    activity.answered("text", "/embed", 422, 0.1, detail)
    (error,) = activity.summary("text")["recent_errors"]
    assert error["detail"] == "body.texts.0: too long"
