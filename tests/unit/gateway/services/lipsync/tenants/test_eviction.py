"""Residency: who leaves, as properties of arbitrary snapshots."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.lipsync.tenants.eviction import (
    Decision,
    Frequency,
    Limits,
    Policy,
    Resident,
    decide,
    idle,
    order,
)

NOW = 1000.0
RESIDENTS = st.lists(
    st.builds(
        Resident,
        tenant=st.text("abcdefgh", min_size=1, max_size=4),
        device=st.integers(0, 2),
        memory_bytes=st.integers(0, 50),
        last_used=st.floats(0, NOW),
        loaded=st.floats(0, NOW),
        frequency=st.floats(0, 9),
        held=st.booleans(),
        pinned=st.booleans(),
    ),
    max_size=10,
    unique_by=lambda one: (one.tenant, one.device),
)
POLICIES: st.SearchStrategy[Policy] = st.sampled_from(["lru", "lfu"])
LIMITS = st.builds(
    Limits,
    max_models=st.integers(1, 12),
    memory_bytes=st.none() | st.integers(0, 300),
    device_memory_bytes=st.none() | st.integers(0, 150),
    policy=POLICIES,
    min_residency=st.sampled_from([0.0, 10.0, 500.0]),
)
DEVICES = st.none() | st.integers(0, 2)


def fits(residents: list[Resident], device: int | None, memory: int, limits: Limits) -> bool:
    """Whether all bounds hold, computed the plain way."""
    total = sum(one.memory_bytes for one in residents) + (memory if device is not None else 0)
    if len(residents) + (device is not None) > limits.max_models:
        return False
    if limits.memory_bytes is not None and total > limits.memory_bytes:
        return False
    for index in range(3):
        used = sum(one.memory_bytes for one in residents if one.device == index)
        used += memory if index == device else 0
        if limits.device_memory_bytes is not None and used > limits.device_memory_bytes:
            return False
    return True


@given(RESIDENTS, DEVICES, st.integers(0, 60), LIMITS)
def test_a_decision_keeps_the_bounds_and_harms_nobody_in_use(
    residents: list[Resident], device: int | None, memory: int, limits: Limits
) -> None:
    memory = memory if device is not None else 0
    found = decide(residents, device, memory, limits, NOW)
    assert not any(one.held or one.pinned for one in found.evict)
    kept = [one for one in residents if one not in found.evict]
    free = [one for one in residents if not (one.held or one.pinned)]
    bound = [one for one in residents if one.held or one.pinned]
    pinned = [one for one in residents if one.pinned]
    if found.verdict == "room":
        assert fits(kept, device, memory, limits)
        for one in found.evict:  # each of them is needed
            assert not fits([*kept, one], device, memory, limits)
    else:
        assert found.evict == ()
        assert not fits(bound, device, memory, limits)
        assert (found.verdict == "wait") == fits(pinned, device, memory, limits)
    if fits(residents, device, memory, limits):
        assert found == Decision()
    if fits(bound, device, memory, limits):
        assert found.verdict == "room", free


@given(RESIDENTS, LIMITS)
def test_the_order_is_that_of_the_policy(residents: list[Resident], limits: Limits) -> None:
    found = order(residents, limits, NOW)
    assert {id(one) for one in found} == {
        id(one) for one in residents if not (one.held or one.pinned)
    }

    def young(one: Resident) -> bool:
        return NOW - one.loaded < limits.min_residency

    for first, second in itertools.pairwise(found):
        if young(first) != young(second):
            assert young(second)  # who has just come leaves last
        elif limits.policy == "lru":
            assert first.last_used <= second.last_used
        else:
            assert (first.frequency, first.last_used) <= (second.frequency, second.last_used)


@pytest.mark.parametrize(("policy", "leaves"), [("lru", "often"), ("lfu", "seldom")])
def test_policies_differ(policy: Policy, leaves: str) -> None:
    residents = [
        Resident("often", 0, last_used=1.0, frequency=9.0),
        Resident("seldom", 0, last_used=2.0, frequency=1.0),
    ]
    found = decide(residents, 0, 0, Limits(2, policy=policy), NOW)
    assert [one.tenant for one in found.evict] == [leaves]


def test_a_newcomer_is_not_the_next_to_leave() -> None:
    """The old server's LFU evicted what it had just loaded, over and over."""
    residents = [
        Resident("new", 0, last_used=NOW, loaded=NOW, frequency=0.0),
        Resident("old", 0, last_used=NOW, loaded=0.0, frequency=5.0),
    ]
    found = decide(residents, 0, 0, Limits(2, policy="lfu", min_residency=10), NOW)
    assert [one.tenant for one in found.evict] == ["old"]
    crowd = [Resident("new", 0, loaded=NOW, frequency=0.0), Resident("in use", 0, held=True)]
    found = decide(crowd, 0, 0, Limits(2, policy="lfu", min_residency=10), NOW)
    assert [one.tenant for one in found.evict] == ["new"]  # better than to refuse the request


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=20), st.floats(1, 1e4))
def test_frequency_is_the_sum_of_aged_uses(moments: list[float], half_life: float) -> None:
    moments = sorted(moments)
    frequency = Frequency()
    for moment in moments:
        frequency = frequency.used(moment, half_life)
    end = moments[-1] + half_life
    expected = sum(0.5 ** ((end - moment) / half_life) for moment in moments)
    assert math.isclose(frequency.at(end, half_life), expected, rel_tol=1e-6, abs_tol=1e-9)


def test_past_fame_fades() -> None:
    """1,000 uses of yesterday weigh less than ten of now."""
    famous, current = Frequency(1000.0, 0.0), Frequency(10.0, 86_400.0)
    assert famous.at(86_400, 1800) < current.at(86_400, 1800)


@given(RESIDENTS, st.none() | st.floats(0, NOW))
def test_idle_ones_are_free_and_unused_for_long(
    residents: list[Resident], timeout: float | None
) -> None:
    found = list(idle(residents, NOW, timeout))
    if timeout is None:
        assert found == []
        return
    for one in residents:
        due = not (one.held or one.pinned) and NOW - one.last_used > timeout
        assert (one in found) == due
