from __future__ import annotations

import asyncio

import progress
import pytest
from progress import News, Progress


async def test_a_follower_gets_what_is_new() -> None:
    told = Progress()
    told.add("a", "")
    told.add("", "")
    told.add("b", "c")
    assert await told.since(0) == News("ab", "c", 2, ended=False)
    assert await told.since(1) == News("b", "c", 2, ended=False)
    waiting = asyncio.ensure_future(told.since(2))
    await asyncio.sleep(0)
    assert not waiting.done()
    told.add("", "d")
    assert await waiting == News("", "d", 3, ended=False)


async def test_followers_learn_of_the_end() -> None:
    told = Progress()
    waiting = [asyncio.ensure_future(told.since(0)) for _ in range(2)]
    await asyncio.sleep(0)
    told.end()
    assert await asyncio.gather(*waiting) == [News("", "", 0, ended=True)] * 2
    assert await told.since(7) == News("", "", 7, ended=True)


async def test_silence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FOLLOW_SECONDS", 0.01)
    assert await Progress().since(0) == News("", "", 0, ended=False)
