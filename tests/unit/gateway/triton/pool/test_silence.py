"""A server of the pool that falls silent: no connection ends, nothing answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.triton import heartbeat
from tests.support.pool_servers import Server, ask, started
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "PAUSE", 0.01)
    monkeypatch.setattr(heartbeat, "PATIENCE", 0.03)


async def test_what_a_silent_server_has_is_done_on_the_other_one(
    servers: dict[str, Server],
) -> None:
    tritons = await started(servers)
    servers["a:1"].gate = asyncio.Event()
    servers["b:1"].gate = asyncio.Event()
    asked = [asyncio.create_task(ask(tritons)) for _ in range(4)]
    await until(lambda: servers["a:1"].calls == servers["b:1"].calls == 2)
    servers["b:1"].gate.set()
    servers["a:1"].silent = True
    assert await asyncio.gather(*asked) == ["b:1"] * 4
    assert tritons.serving() == {"a:1": False, "b:1": True}
    assert not servers["b:1"].hung_up_on
    await tritons.close()


async def test_one_miss_is_no_silence(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    rounds = tritons.members._heartbeat
    await rounds.stop()
    servers["a:1"].silent = True
    assert not await rounds.round()
    servers["a:1"].silent = False
    assert await rounds.round()
    servers["a:1"].silent = True
    assert not await rounds.round()
    assert tritons.serving()["a:1"]
    assert not await rounds.round()
    assert not tritons.serving()["a:1"]
    await tritons.close()


async def test_where_all_are_silent_none_is_given_up(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    rounds = tritons.members._heartbeat
    await rounds.stop()
    servers["a:1"].silent = servers["b:1"].silent = True
    for _ in range(5):
        assert not await rounds.round()
    assert tritons.serving() == {"a:1": True, "b:1": True}
    assert not servers["a:1"].hung_up_on
    await tritons.close()


async def test_a_silent_server_that_is_back_gets_work_again(servers: dict[str, Server]) -> None:
    tritons = await started(servers)
    servers["a:1"].silent = True
    await until(lambda: not tritons.serving()["a:1"])
    told = asyncio.create_task(tritons.lost())  # so that the health monitor looks
    await asyncio.wait_for(told, 5)
    servers["a:1"].silent = False
    assert await tritons.live()
    await tritons.ready_models()
    assert tritons.serving()["a:1"]
    await tritons.close()


async def test_one_that_is_away_holds_up_no_look(
    servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    tritons = await started(servers)
    servers["a:1"].silent = True
    await until(lambda: not tritons.serving()["a:1"])
    monkeypatch.setattr("gateway.triton.pool.BACK_SECONDS", 0.05)
    begin = time.monotonic()
    assert await tritons.live()
    assert time.monotonic() - begin < 5
    await tritons.close()
