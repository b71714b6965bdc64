"""Placement: where a tenant goes, as properties."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.lipsync.tenants.placement import (
    DeviceLoad,
    RoundRobin,
    Strategy,
    place,
    spread,
)

COUNT = st.integers(1, 8)
LOADS = st.lists(
    st.builds(
        DeviceLoad,
        device=st.just(0),
        resident=st.integers(0, 9),
        busy=st.integers(0, 9),
        saturated=st.booleans(),
        usable=st.booleans(),
    ),
    min_size=1,
    max_size=6,
).map(lambda loads: [_at(load, index) for index, load in enumerate(loads)])
STRATEGIES: st.SearchStrategy[Strategy] = st.sampled_from(
    ["round-robin", "least-loaded", "dedicated"]
)


def _at(load: DeviceLoad, index: int) -> DeviceLoad:
    return DeviceLoad(index, load.resident, load.busy, load.saturated, load.usable)


@given(STRATEGIES, LOADS, st.integers(0, 7), st.text(max_size=5), st.none() | st.integers(0, 7))
def test_only_usable_devices_are_taken(
    strategy: Strategy, loads: list[DeviceLoad], following: int, tenant: str, preferred: int | None
) -> None:
    usable = {load.device for load in loads if load.usable}
    found = place(strategy, loads, RoundRobin(following), tenant, preferred)
    if not usable:
        assert found is None
        return
    assert found is not None
    assert found[0] in usable
    if preferred in usable:
        assert found == (preferred, RoundRobin(following))  # a preference takes nobody's turn


@given(COUNT, st.lists(st.booleans(), max_size=60))
def test_round_robin_shares_evenly_whatever_fails(count: int, fates: list[bool]) -> None:
    loads = [DeviceLoad(device) for device in range(count)]
    turn, loaded = RoundRobin(), Counter(dict.fromkeys(range(count), 0))
    for works in fates:
        found = place("round-robin", loads, turn, "any")
        assert found is not None
        device, turn = found
        if works:
            loaded[device] += 1
        else:
            turn = turn.give_back(device)
    assert max(loaded.values()) - min(loaded.values()) <= 1


@given(COUNT, st.integers(1, 40))
def test_round_robin_is_in_order_while_loads_are_under_way(count: int, calls: int) -> None:
    loads = [DeviceLoad(device) for device in range(count)]
    turn, order = RoundRobin(), []
    for _ in range(calls):
        found = place("round-robin", loads, turn, "any")
        assert found is not None
        order.append(found[0])
        turn = found[1]
    assert order == [call % count for call in range(calls)]


@given(LOADS)
def test_least_loaded_counts_tenants_then_calls(loads: list[DeviceLoad]) -> None:
    found = place("least-loaded", loads, RoundRobin(), "any")
    usable = [load for load in loads if load.usable]
    if usable:
        assert found is not None
        taken = loads[found[0]]
        assert (taken.resident, taken.busy) == min((one.resident, one.busy) for one in usable)


@given(st.integers(2, 8), st.text(min_size=1, max_size=8), st.data())
def test_dedicated_moves_only_the_tenants_of_a_device_that_is_gone(
    count: int, tenant: str, data: st.DataObject
) -> None:
    gone = data.draw(st.integers(0, count - 1))
    before = place("dedicated", [DeviceLoad(d) for d in range(count)], RoundRobin(), tenant)
    after = place(
        "dedicated", [DeviceLoad(d, usable=d != gone) for d in range(count)], RoundRobin(), tenant
    )
    assert before is not None
    assert after is not None
    assert after[0] != gone
    if before[0] != gone:
        assert after[0] == before[0]


def test_dedicated_uses_all_devices() -> None:
    loads = [DeviceLoad(device) for device in range(4)]
    found = [place("dedicated", loads, RoundRobin(), f"tenant-{n}") for n in range(400)]
    counts = Counter(one[0] for one in found if one)
    assert set(counts) == {0, 1, 2, 3}
    assert min(counts.values()) > 60


@given(LOADS, st.data())
def test_a_further_device_only_when_all_own_are_saturated(
    loads: list[DeviceLoad], data: st.DataObject
) -> None:
    mine = data.draw(st.sets(st.sampled_from([one.device for one in loads]), min_size=1))
    found = spread(sorted(mine), loads, None)
    if not all(loads[device].saturated for device in mine):
        assert found is None
    if found is not None:
        assert found not in mine
        assert loads[found].usable
        assert not loads[found].saturated
    assert spread(sorted(mine), loads, 0) is None


@pytest.mark.parametrize("strategy", ["round-robin", "least-loaded", "dedicated"])
def test_one_device_takes_everything(strategy: Strategy) -> None:
    turn = RoundRobin()
    for number in range(5):
        found = place(strategy, [DeviceLoad(0)], turn, str(number))
        assert found is not None
        assert found[0] == 0
        turn = found[1]
