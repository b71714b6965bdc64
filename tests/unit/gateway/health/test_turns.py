"""The order in which models are loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.health import loading
from gateway.health.turns import Turns
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import running_gateway
from tests.support.waiting import until


async def test_the_lowest_rank_is_next_and_no_turn_is_lost() -> None:
    turns, order, gate = Turns(1), [], asyncio.Event()

    async def take(rank: int) -> None:
        async with turns.turn(rank):
            order.append(rank)
            await gate.wait()

    tasks = [asyncio.create_task(take(rank)) for rank in (3, 1, 2, 2, 5)]
    await until(lambda: order)
    assert order == [1], "who came in the same moment is compared too"
    tasks[2].cancel()  # waits
    tasks[1].cancel()  # holds the turn
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 2, 3, 5]


class Slow(FakeTriton):
    """Says how many loads were under way at once."""

    most = 0
    now = 0

    async def load(self, model: str, config: object = None) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        await super().load(model)


async def test_few_are_loaded_at_once_and_those_of_impatient_clients_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading.os, "cpu_count", lambda: 1)
    async with running_gateway(tmp_path, Slow()) as gateway:
        loads = gateway.triton.loads
        assert gateway.triton.most == loading.FEWEST_LOADS  # type: ignore[attr-defined]
        assert loads.index("text_embedding") < loads.index("face_embedder")
        assert loads.index("image_classification") < loads.index("emotion_story")


async def test_a_model_is_ready_before_others_are_loaded(tmp_path: Path) -> None:
    triton, held = FakeTriton(), asyncio.Event()
    load = triton.load

    async def slow(model: str, config: object = None) -> None:
        if model == "emotion_story":
            await held.wait()
        await load(model)

    triton.load = slow  # type: ignore[method-assign]
    async with running_gateway(tmp_path, triton, wait=False) as gateway:
        await until(lambda: gateway.context.monitor.service_state("text") == "ready")
        assert (await gateway.text.post("/embed", json={"texts": ["a"]})).status_code == 200
        assert gateway.context.monitor.service_state("iot") == "loading"
        held.set()
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")
