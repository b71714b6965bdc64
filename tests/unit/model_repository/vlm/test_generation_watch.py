from __future__ import annotations

import asyncio

import generation_watch
import pytest
from generation_watch import DeadlinePassedError, GenerationCancelledError, watched


class Generation:
    """Runs until it is told to end, and remembers being cancelled."""

    def __init__(self) -> None:
        self.cancelled = False

    async def run(self, seconds: float = 60, error: Exception | None = None) -> str:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if error:
            raise error
        return "text"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_watch, "POLL_SECONDS", 0.01)


async def test_a_result_and_an_error_come_through() -> None:
    event = asyncio.Event()
    assert await watched(Generation().run(0), event, lambda: False, 60) == "text"
    with pytest.raises(KeyError):
        await watched(Generation().run(0, KeyError()), event, lambda: False, 60)


@pytest.mark.parametrize("how", ["event", "client", "event before"])
async def test_cancellation_ends_the_generation(how: str) -> None:
    generation, event, gone = Generation(), asyncio.Event(), []
    if how == "event before":
        event.set()
    task = asyncio.ensure_future(watched(generation.run(), event, lambda: bool(gone), 60))
    await asyncio.sleep(0.02)
    if how == "client":
        gone.append(True)
    event.set() if how == "event" else None
    with pytest.raises(GenerationCancelledError):
        await task
    assert generation.cancelled


@pytest.mark.parametrize("seconds", [0.02, -1.0])
async def test_the_deadline_ends_the_generation(seconds: float) -> None:
    generation = Generation()
    with pytest.raises(DeadlinePassedError):
        await watched(generation.run(), asyncio.Event(), lambda: False, seconds)
    assert generation.cancelled or seconds < 0


async def test_being_cancelled_oneself_ends_the_generation() -> None:
    generation = Generation()
    task = asyncio.ensure_future(watched(generation.run(), asyncio.Event(), lambda: False, 60))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert generation.cancelled
    assert len(asyncio.all_tasks()) == 1
