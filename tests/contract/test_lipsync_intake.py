"""How gRPC calls are taken in: silent and late ones, and large metadata."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.services.lipsync.grpc import intake
from gateway.settings import lipsync
from tests.support.lipsync_gateway import Served, audio, frames, serving
from tests.support.lipsync_protos import SERVICE
from tests.support.waiting import until

Code = grpc.StatusCode


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


def request(served: Served) -> Any:
    return served.client(1).messages.InferBatchRequest(
        model_id="tenant_1",
        visual_frames=frames(1).tobytes(),
        audio_features=audio().tobytes(),
        batch_size=1,
    )


async def code_of(call: Any) -> grpc.StatusCode:
    """The status of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_a_message_must_come_in_its_time(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"message_seconds": 0.7}) as served:
        for name in ("InferBatch", "ListModels"):
            call = served.channel.stream_unary(f"/{SERVICE}/{name}")()
            assert await code_of(call) is Code.DEADLINE_EXCEEDED


async def test_silent_streams_keep_nobody_from_the_model(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        service = served.gateway.listeners.services["lipsync"]
        assert service
        silent = [
            served.channel.stream_unary(f"/{SERVICE}/InferBatch")()
            for _ in range(3 * service.settings.max_concurrent)
        ]
        await until(lambda: service.admission.waiting)
        assert (await served.client(1).InferBatch(request(served))).success
        late = request(served).SerializeToString()
        await silent[-1].write(late)  # who speaks after all is served
        await silent[-1].done_writing()
        assert await silent[-1]
        for call in silent:
            call.cancel()


async def test_a_slow_message_keeps_its_slot_while_nobody_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PATIENCE", 0.05)
    async with serving(tmp_path) as served:
        service = served.gateway.listeners.services["lipsync"]
        assert service
        slow = served.channel.stream_unary(f"/{SERVICE}/InferBatch")()
        await until(lambda: service.admission.in_flight == 1)
        await asyncio.sleep(0.5)
        assert service.admission.in_flight == 1
        await slow.write(request(served).SerializeToString())
        await slow.done_writing()
        assert await slow


async def test_silent_streams_are_bounded_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MOST_SILENT", 2)
    monkeypatch.setattr(intake, "PATIENCE", 0.05)
    monkeypatch.setattr(lipsync, "LOADING_CALLS", 0)  # one slot
    async with serving(tmp_path, server={"worker_count_per_gpu": 1}) as served:
        silent = [served.channel.stream_unary(f"/{SERVICE}/InferBatch")() for _ in range(4)]
        await until(lambda: any(call.done() for call in silent))
        (ended,) = (call for call in silent if call.done())
        assert await ended.code() is Code.RESOURCE_EXHAUSTED
        for call in silent:
            call.cancel()


async def test_late_messages_are_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LATE_BYTES", 2**20)  # less than one message
    monkeypatch.setattr(intake, "PATIENCE", 0.05)
    monkeypatch.setattr(lipsync, "LOADING_CALLS", 0)  # one slot
    async with serving(tmp_path, server={"worker_count_per_gpu": 1}) as served:
        service = served.gateway.listeners.services["lipsync"]
        assert service
        late = served.channel.stream_unary(f"/{SERVICE}/InferBatch")()
        await until(lambda: service.admission.in_flight == 1)
        other = served.channel.stream_unary(f"/{SERVICE}/InferBatch")()
        await until(lambda: service.admission.waiting == 1)
        await until(lambda: service.admission.waiting == 0)  # `late` has given its slot away
        await late.write(request(served).SerializeToString())
        assert await code_of(late) is Code.RESOURCE_EXHAUSTED
        monkeypatch.undo()
        assert (await served.client(1).InferBatch(request(served))).success
        other.cancel()


async def test_metadata_of_16_kib_is_taken_every_time_and_more_is_refused(served: Served) -> None:
    client, messages = served.client(1), served.client(1).messages
    fits = (("x-trace", "t" * (16 * 2**10 - 100)),)
    for _ in range(30):
        assert (await client.Health(messages.HealthRequest(), metadata=fits)).healthy
    for size in (20, 60, 500):
        call = client.Health(messages.HealthRequest(), metadata=(("x", "t" * (size * 2**10)),))
        assert await code_of(call) is Code.RESOURCE_EXHAUSTED
    assert (await client.Health(messages.HealthRequest())).healthy
