from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.tryon.jobs.models import Delivery, event_id
from gateway.services.tryon.jobs.retry import RetryPolicy

PLAN = RetryPolicy(True, True, 3, (1.0, 2.0, 4.0), 900.0, 86_400.0)


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_pauses_stay_within_their_bounds(attempts: int, seed: int) -> None:
    pause = PLAN.pause(attempts, Random(seed))
    first = {1: 1.0, 2: 2.0, 3: 4.0}
    assert 0 <= pause <= min(900.0, first.get(attempts, 4.0 * 2 ** min(60, attempts - 3)))


def test_pauses_are_spread_over_the_whole_bound() -> None:
    dice = Random(1)
    pauses = [PLAN.pause(4, dice) for _ in range(1000)]
    assert min(pauses) < 0.2
    assert max(pauses) > 7.8
    assert 3.6 < sum(pauses) / len(pauses) < 4.4


@pytest.mark.parametrize(
    ("asset", "balancer", "expected"),
    [
        (True, True, [("pending", 5.0), ("pending", None)]),
        (False, True, [("skipped", None), ("pending", 5.0)]),
        (True, False, [("pending", 5.0), ("skipped", None)]),
        (False, False, [("skipped", None), ("skipped", None)]),
    ],
)
def test_the_load_balancer_waits_for_the_asset_service(
    asset: bool, balancer: bool, expected: list[tuple[str, float | None]]
) -> None:
    plan = replace(PLAN, asset_service=asset, load_balancer=balancer)
    made = plan.deliveries("j", 5.0)
    assert [one.destination for one in made] == ["asset_service", "load_balancer"]
    assert [(one.state, one.next_attempt) for one in made] == expected


@pytest.mark.parametrize(
    ("state", "attempts", "unblocks"),
    [("pending", 1, None), ("pending", 2, None), ("pending", 3, "load_balancer"),
     ("delivered", 1, "load_balancer"), ("dead_letter", 1, "load_balancer")],
)  # fmt: skip
def test_who_is_told_next(state: str, attempts: int, unblocks: str | None) -> None:
    one = Delivery("j", "asset_service", "e", state, attempts)  # type: ignore[arg-type]
    assert PLAN.unblocks(one) == unblocks
    assert PLAN.unblocks(replace(one, destination="load_balancer")) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_event_ids_fit_into_a_header_and_differ(one: str, two: str) -> None:
    first = event_id(one, "asset_service")
    assert first.isascii()
    assert first.replace("_", "").replace("-", "").isalnum()
    assert first == event_id(one, "asset_service")
    assert first != event_id(one, "load_balancer")
    assert (first == event_id(two, "asset_service")) == (one == two)
