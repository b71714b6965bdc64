"""Waiting for what happens by itself, as long as a slow machine with other work may need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds; only a test that fails waits for so long."""


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition, without a fixed sleep."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition not reached"
        await asyncio.sleep(0.01)


def wait_for(
    condition: Callable[[], object],
    seconds: float = PATIENCE,
    told: Callable[[], object] = lambda: "it did not happen in time",
) -> None:
    """Wait for a condition in a thread; ``told`` says what is so instead."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, told()
        time.sleep(0.02)


def usual(durations: list[float]) -> float:
    """The median: what something takes when nothing stops the process meanwhile."""
    return sorted(durations)[len(durations) // 2]


def opened() -> asyncio.Event:
    """A gate that holds nobody up."""
    gate = asyncio.Event()
    gate.set()
    return gate


async def passed(what: float | asyncio.Event) -> None:
    """Wait so many seconds, or until a test says so."""
    if isinstance(what, asyncio.Event):
        await what.wait()
    else:
        await asyncio.sleep(what)
