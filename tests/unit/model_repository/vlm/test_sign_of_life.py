"""A canary beside long answers: a step of the engine is proof enough, silence is none."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.model_code import code_of

with code_of("vlm"):
    from video_language_engine import Answer, EngineDeadError, VideoLanguageEngine

TEXT = Answer("a", "length", {})


class Generation:
    """One that ends when it is told to."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def run(self) -> Answer:
        try:
            return await self.outcome
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def engine(loads: list[tuple[int, int]]) -> VideoLanguageEngine:
    return VideoLanguageEngine({}, lambda *load: loads.append(load))


async def test_a_step_for_others_is_enough_and_ends_the_canarys_own_generation() -> None:
    loads: list[tuple[int, int]] = []
    tested, waiting = engine(loads), Generation()
    tested._stepped(4, 1)  # of before
    proof = asyncio.ensure_future(tested.alive(waiting.run()))
    await asyncio.sleep(0.05)
    assert not proof.done(), "an engine that makes no step is not alive"
    tested._stepped(4, 1)
    assert await proof is None
    assert waiting.cancelled
    assert loads == [(4, 1)] * 2


async def test_its_own_answer_or_failure_comes_first() -> None:
    tested = engine([])
    answered, failed = Generation(), Generation()
    answered.outcome.set_result(TEXT)
    assert await tested.alive(answered.run()) == TEXT
    failed.outcome.set_exception(EngineDeadError())
    with pytest.raises(EngineDeadError):
        await tested.alive(failed.run())
