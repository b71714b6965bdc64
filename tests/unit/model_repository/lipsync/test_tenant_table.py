"""Residents: nothing in use is freed, everything else is, exactly once."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lipsync_errors import TenantNotLoadedError
from tenants.table import Resident, TenantTable


class Freed:
    """Collects what was freed."""

    def __init__(self) -> None:
        self.weights: list[object] = []

    def __call__(self, weights: object) -> None:
        self.weights.append(weights)


def resident(tenant: str, weights: object) -> Resident:
    return Resident(tenant, weights, {})


def test_an_unloaded_tenant_is_freed_after_its_last_request() -> None:
    freed, gone = Freed(), []
    table = TenantTable(freed)
    table.install(resident("a", "w"))
    one, two = table.acquire("a"), table.acquire("a")
    assert table.remove("a", lambda: gone.append(1))
    with pytest.raises(TenantNotLoadedError):
        table.acquire("a")
    table.release(one, 3)
    assert freed.weights == []
    assert gone == []
    assert two.weights == "w"
    table.release(two, 2)
    assert freed.weights == ["w"]
    assert gone == [1]
    assert two.frames == 5


def test_an_idle_tenant_is_freed_at_once() -> None:
    freed, gone = Freed(), []
    table = TenantTable(freed)
    table.install(resident("a", "w"))
    assert table.remove("a", lambda: gone.append(1))
    assert (freed.weights, gone) == (["w"], [1])
    assert not table.remove("a", lambda: gone.append(2))
    assert gone == [1]


def test_a_reload_leaves_running_requests_on_the_old_weights() -> None:
    freed = Freed()
    table = TenantTable(freed)
    table.install(resident("a", "old"))
    running = table.acquire("a")
    table.install(resident("a", "new"))
    assert table.acquire("a").weights == "new"
    assert running.weights == "old"
    table.release(running, 1)
    assert freed.weights == ["old"]
    assert len(table) == 1


@given(st.lists(st.sampled_from(["load", "acquire", "release", "remove"]), max_size=40))
def test_weights_in_use_are_never_freed_and_nothing_leaks(actions: list[str]) -> None:
    freed = Freed()
    table, held, made, gone = TenantTable(freed), [], 0, []
    for action in actions:
        if action == "load":
            table.install(resident("a", made))
            made += 1
        elif action == "acquire":
            try:
                held.append(table.acquire("a"))
            except TenantNotLoadedError:
                assert table.get("a") is None
        elif action == "release" and held:
            table.release(held.pop(0), 1)
        elif action == "remove":
            table.remove("a", lambda: gone.append(1))
        assert len(freed.weights) == len(set(freed.weights))
        assert not {one.weights for one in held} & set(freed.weights)
        assert all(one.weights is not None for one in held)
    for one in held:
        table.release(one, 0)
    table.remove("a", lambda: None)
    assert sorted(freed.weights) == list(range(made))


def test_threads_that_use_and_reload_never_see_freed_weights() -> None:
    freed = Freed()
    table = TenantTable(freed)
    table.install(resident("a", 0))
    wrong: list[object] = []

    def use() -> None:
        for _ in range(2000):
            one = table.acquire("a")
            if one.weights is None:
                wrong.append(one)
            table.release(one, 1)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 500):
        table.install(resident("a", number))
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(freed.weights) == list(range(499))
