"""Tests that measure the machine have it alone; all others have it together."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.alone import Machine
from tests.support.waiting import wait_for

PATIENCE = 60


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[Machine]]:
    """The same machine as three workers have it."""
    made = [Machine(tmp_path) for _ in range(3)]
    yield made
    for machine in made:
        machine.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as running:
        yield running


def test_the_others_share_it(machines: list[Machine], pool: ThreadPoolExecutor) -> None:
    together = threading.Barrier(3)

    def work(machine: Machine) -> None:
        with machine.held(alone=False, next_alone=False):
            together.wait(PATIENCE)

    for done in [pool.submit(work, machine) for machine in machines]:
        done.result(PATIENCE)


@pytest.mark.parametrize("alone", [(True, False), (False, True), (True, True)])
def test_nobody_is_there_beside_whoever_has_it_alone(
    machines: list[Machine], pool: ThreadPoolExecutor, alone: tuple[bool, bool]
) -> None:
    begun, there = threading.Event(), []

    def second() -> None:
        begun.set()
        with machines[1].held(alone[1], next_alone=False):
            there.append("second")

    with machines[0].held(alone[0], next_alone=False):
        done = pool.submit(second)
        assert begun.wait(PATIENCE)
        with pytest.raises(TimeoutError):
            done.result(0.2)
        assert not there
    done.result(PATIENCE)
    assert there == ["second"]


def test_it_is_kept_for_the_next_that_needs_it_alone(
    machines: list[Machine], pool: ThreadPoolExecutor
) -> None:
    def second() -> None:
        with machines[1].held(alone=False, next_alone=False):
            pass

    with machines[0].held(alone=True, next_alone=True):
        done = pool.submit(second)
    with pytest.raises(TimeoutError):
        done.result(0.2)
    with machines[0].held(alone=True, next_alone=False):
        assert not done.done()
    done.result(PATIENCE)


def turn_taken(folder: Path) -> bool:
    """Whether a worker waits for the machine."""
    with (folder / "turn").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_whoever_waits_for_it_alone_is_next(
    machines: list[Machine], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Those who share it would otherwise pass it on to each other for ever."""
    order: list[str] = []

    def alone() -> None:
        with machines[1].held(alone=True, next_alone=False):
            order.append("alone")

    def shared() -> None:
        with machines[2].held(alone=False, next_alone=False):
            order.append("shared")

    with machines[0].held(alone=False, next_alone=False):
        first = pool.submit(alone)
        wait_for(lambda: turn_taken(tmp_path))
        second = pool.submit(shared)
        with pytest.raises(TimeoutError):
            second.result(0.2)
    first.result(PATIENCE)
    second.result(PATIENCE)
    assert order == ["alone", "shared"]
