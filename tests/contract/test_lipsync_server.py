"""What a gRPC client meets around the RPCs: keys, limits, deadlines, reflection, health."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.services.lipsync.grpc.drain import LINGER_SECONDS
from gateway.triton.region_files import PREFIX, SHM
from gateway.triton.shared_memory import REFUSED
from tests.support.lipsync_gateway import Served, audio, frames, serving
from tests.support.lipsync_protos import SERVICE, raw
from tests.support.lipsync_triton import LipsyncTriton, mouth
from tests.support.waiting import PATIENCE, until

Code = grpc.StatusCode
KEY, CONTROL_KEY, OTHER = "key-for-frames", "key-for-control", "key-for-text"
KEYS = {
    "keys": [
        {"name": "frames", "key": KEY, "services": ["lipsync"]},
        {"name": "control", "key": CONTROL_KEY, "services": ["lipsync", "lipsync-control"]},
        {"name": "text", "key": OTHER, "services": ["text"]},
    ]
}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


def request(served: Served, count: int = 1, **changes: Any) -> Any:
    return served.client(1).messages.InferBatchRequest(
        **{
            "model_id": "tenant_1",
            "visual_frames": frames(count).tobytes(),
            "audio_features": audio().tobytes(),
            "batch_size": count,
            **changes,
        }
    )


async def code_of(call: Any) -> grpc.StatusCode:
    """The status of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def _answered(call: Any) -> Any:
    """A call as a coroutine, which a task wants."""
    return await call


async def test_grpc_health_follows_the_service(served: Served) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    # The port is open before the models are ready.
    while (await watch.read()).status != health_pb2.HealthCheckResponse.SERVING:
        pass
    for name in ("", SERVICE):
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    served.gateway.lifecycle.draining = True
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    assert await code_of(stub.Check(health_pb2.HealthCheckRequest(service="x"))) is Code.NOT_FOUND


async def test_keys_in_metadata(tmp_path: Path) -> None:
    async with serving(tmp_path, security=KEYS) as served:
        client, kind = served.client(1), served.client(1).messages
        given = request(served)
        assert await code_of(client.InferBatch(given)) is Code.UNAUTHENTICATED
        wrong = (("x-api-key", "wrong-key"),)
        assert await code_of(client.InferBatch(given, metadata=wrong)) is Code.UNAUTHENTICATED
        text = (("x-api-key", OTHER),)
        assert await code_of(client.InferBatch(given, metadata=text)) is Code.PERMISSION_DENIED
        for metadata in ((("x-api-key", KEY),), (("authorization", f"Bearer {KEY}"),)):
            assert (await client.InferBatch(given, metadata=metadata)).success
        # Without a separate control key the same key loads, too.
        load = kind.LoadModelRequest(model_id="tenant_2")
        assert (await client.LoadModel(load, metadata=(("x-api-key", KEY),))).success
        # Balancers and tools need none, and neither does a client that looks before it begins.
        assert (await client.Health(kind.HealthRequest())).healthy
        wrong = (("x-api-key", "wrong-key"),)
        assert (await client.Health(kind.HealthRequest(), metadata=wrong)).healthy
        assert await code_of(client.ListModels(kind.ListModelsRequest())) is Code.UNAUTHENTICATED
        stub = health_pb2_grpc.HealthStub(served.channel)
        await stub.Check(health_pb2.HealthCheckRequest())


async def test_control_with_a_key_of_its_own(tmp_path: Path) -> None:
    separate = {"separate_control_key": True}
    async with serving(tmp_path, security=KEYS, lipsync=separate) as served:
        client, kind = served.client(1), served.client(1).messages
        frames_key, control_key = (("x-api-key", KEY),), (("x-api-key", CONTROL_KEY),)
        load = kind.LoadModelRequest(model_id="tenant_1")
        unload = kind.UnloadModelRequest(model_id="tenant_1")
        assert await code_of(client.LoadModel(load)) is Code.UNAUTHENTICATED
        assert await code_of(client.LoadModel(load, metadata=frames_key)) is Code.PERMISSION_DENIED
        refused = client.UnloadModel(unload, metadata=frames_key)
        assert await code_of(refused) is Code.PERMISSION_DENIED
        assert (await client.LoadModel(load, metadata=control_key)).success
        assert (await client.InferBatch(request(served), metadata=frames_key)).success
        listed = await client.ListModels(kind.ListModelsRequest(), metadata=frames_key)
        assert len(listed.models) == 2
        assert (await client.UnloadModel(unload, metadata=control_key)).success


async def test_a_key_is_checked_before_the_message_is_read(tmp_path: Path) -> None:
    async with serving(tmp_path, security=KEYS, server={"max_message_size_mb": 1}) as served:
        # The message is over the limit, but nobody got as far as reading it.
        call = raw(served.channel)(bytes(3 << 20))
        assert await code_of(call) is Code.UNAUTHENTICATED


async def test_a_message_over_the_limit_is_a_status_and_the_connection_lives(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, server={"max_message_size_mb": 3}) as served:
        client = served.client(1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.InferBatch(request(served, 2))
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        assert "larger than max" in (caught.value.details() or "")
        assert (await client.InferBatch(request(served, 1))).success


async def test_an_answer_over_the_limit_is_a_status_before_anything_runs(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"max_message_size_mb": 2}) as served:
        compact = {"frame_format": "UINT8", "input_channels": 3}
        pixels = np.zeros((2, 3, 320, 320), np.uint8).tobytes()
        call = served.client(1).InferBatch(request(served, 2, visual_frames=pixels, **compact))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        assert "2457600 bytes" in (caught.value.details() or "")
        assert served.triton.calls == []


async def test_overload_is_a_status_that_says_when_to_come_back(tmp_path: Path) -> None:
    limits = {"worker_count_per_gpu": 1, "queue_size": 0, "slot_wait_seconds": 0}
    async with serving(tmp_path, server=limits) as served:
        client = served.client(1)
        served.triton.gate.clear()
        slots = served.gateway.context.settings.lipsync.max_concurrent
        calls = [
            asyncio.ensure_future(_answered(client.InferBatch(request(served))))
            for _ in range(slots + 6)
        ]
        await until(lambda: sum(call.done() for call in calls) >= 6)
        served.triton.gate.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in found if isinstance(one, grpc.aio.AioRpcError)]
        assert refused
        for one in refused:
            assert one.code() is Code.RESOURCE_EXHAUSTED
            trailers = dict(one.trailing_metadata())
            assert int(trailers["retry-after"]) >= 1
            assert int(trailers["grpc-retry-pushback-ms"]) >= 1000


async def test_a_client_that_goes_ends_its_inference(served: Served) -> None:
    served.triton.gate.clear()
    call = served.client(1).InferBatch(request(served))
    await until(lambda: served.triton.calls)
    call.cancel()
    await until(lambda: served.triton.cancelled == 1)


async def test_deadlines_reach_the_model(served: Served) -> None:
    served.triton.gate.clear()
    deadline = 5.0  # enough to reach the model on a busy machine
    call = served.client(1).InferBatch(request(served), timeout=deadline)
    assert await code_of(call) is Code.DEADLINE_EXCEEDED
    await until(lambda: served.triton.cancelled == 1)
    assert 0 < served.triton.timeouts[0] <= deadline


async def test_the_servers_own_limit_holds_without_a_deadline(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"deadline_seconds": 70}) as served:
        await served.client(1).InferBatch(request(served))
        assert 20 < served.triton.timeouts[0] <= 70


async def test_a_client_that_sends_nothing_is_sent_away(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"deadline_seconds": 0.5}) as served:
        call = served.channel.stream_unary(f"/{SERVICE}/InferBatch")()
        assert await code_of(call) is Code.DEADLINE_EXCEEDED
        service = served.gateway.listeners.services["lipsync"]
        assert service
        await until(lambda: service.admission.in_flight == 0)  # the status may come first


async def test_a_call_without_a_message_is_refused(served: Served) -> None:
    call = served.channel.stream_unary(f"/{SERVICE}/InferBatch")()
    await call.done_writing()
    assert await code_of(call) is Code.INVALID_ARGUMENT


async def test_a_late_answer_never_reaches_another_call(tmp_path: Path) -> None:
    """A cancelled inference that Triton finishes all the same writes into no other's memory."""
    triton = LipsyncTriton(answers_late=True)
    triton.late_gate.clear()
    async with serving(tmp_path, triton, lipsync={"shared_memory_mb": 4}) as served:
        triton.gate.clear()
        call = served.client(1).InferBatch(request(served, model_id="tenant_2"))
        await until(lambda: triton.running.get("tenant_2"))
        call.cancel()
        await until(lambda: triton.stragglers)
        triton.gate.set()
        client = served.client(1)
        expected = mouth(frames(1), audio(), "tenant_1").tobytes()
        for _ in range(5):
            reply = await client.InferBatch(request(served))
            assert reply.outputs[0].data == expected
            assert triton.transports[-1] == "grpc"  # the only region rests
        triton.late_gate.set()
        end = time.monotonic() + PATIENCE
        while triton.transports[-1] != "shared_memory":
            assert time.monotonic() < end, "the region never came back"
            await asyncio.sleep(0.05)
            reply = await client.InferBatch(request(served))
            assert reply.outputs[0].data == expected


async def test_a_remote_triton_gets_the_frames_through_grpc(tmp_path: Path) -> None:
    async with serving(tmp_path, LipsyncTriton(remote=True)) as served:
        reply = await served.client(1).InferBatch(request(served))
        assert reply.outputs[0].data == mouth(frames(1), audio(), "tenant_1").tobytes()
        assert served.triton.transports == ["grpc"]


async def test_a_restarted_triton_gets_the_regions_again(served: Served) -> None:
    client = served.client(1)
    await client.InferBatch(request(served))
    served.triton.regions.clear()
    assert (await client.InferBatch(request(served))).success
    assert set(served.triton.transports) == {"shared_memory"}


async def test_a_triton_that_refuses_shared_memory_is_named_and_served_without(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, LipsyncTriton(refuses=True)) as served:
        reply = await served.client(1).InferBatch(request(served))
        assert reply.outputs[0].data == mouth(frames(1), audio(), "tenant_1").tobytes()
        assert served.triton.transports == ["grpc"]
        for path in ("/readyz", "/services"):
            (warning,) = (await served.gateway.main.get(path)).json()["triton"]["warnings"]
            assert "--allow-client-shm=true" in warning


@pytest.mark.parametrize("forgets", [True, False])
async def test_a_triton_started_again_without_shared_memory_loses_no_call(
    served: Served, forgets: bool
) -> None:
    client = served.client(1)
    await client.InferBatch(request(served))
    served.triton.refuses, served.triton.forgets = True, forgets
    for _ in range(2):
        reply = await client.InferBatch(request(served))
        assert reply.outputs[0].data == mouth(frames(1), audio(), "tenant_1").tobytes()
    # Once in vain, then without.
    assert served.triton.transports == ["shared_memory"] * 2 + ["grpc"] * 2
    assert (await served.gateway.main.get("/readyz")).json()["triton"]["warnings"] == [REFUSED]
    served.triton.refuses = False


async def test_no_region_is_left_after_the_end(tmp_path: Path) -> None:
    own = f"{PREFIX}{os.getpid()}-*"  # other processes come and go meanwhile
    before = set(SHM.glob(own))
    async with serving(tmp_path) as served:
        await served.client(1).InferBatch(request(served, 2))
        assert set(SHM.glob(own)) - before
        triton = served.triton
    assert set(SHM.glob(own)) <= before
    assert triton.regions == {}


async def test_a_stopping_server_finishes_its_calls(tmp_path: Path) -> None:
    """Large answers: their clients lost one in thirty while connections closed at once."""
    async with serving(tmp_path) as served:
        served.triton.gate.clear()
        message = request(served, 12)
        calls = [served.client(1).InferBatch(message) for _ in range(3)]
        await until(lambda: served.triton.running.get("tenant_1") == 3)
        begin = time.monotonic()
        stopping = asyncio.create_task(served.server.drain(PATIENCE))
        await asyncio.sleep(0)
        late = served.client(1).Health(served.client(1).messages.HealthRequest())
        assert await code_of(late) is Code.UNAVAILABLE
        assert ("retry-after", "1") in tuple(await late.trailing_metadata())
        served.triton.gate.set()
        for call in calls:
            assert (await call).success
        await stopping
        assert time.monotonic() - begin > LINGER_SECONDS  # the connection outlived its calls


async def test_a_stopping_server_without_calls_does_not_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        begin = time.monotonic()
        await served.server.drain(10 * PATIENCE)
        assert time.monotonic() - begin < PATIENCE


async def test_a_stopping_server_waits_no_longer_than_its_grace(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        served.triton.gate.clear()
        call = served.client(1).InferBatch(request(served))
        await until(lambda: served.triton.running.get("tenant_1"))
        await served.server.drain(0.3)
        assert await code_of(call) in (Code.UNAVAILABLE, Code.CANCELLED)


async def test_a_taken_port_is_an_error(tmp_path: Path, served: Served) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(OSError, match="cannot listen"):
        async with serving(other, server={"port": served.server.port}):
            pass


HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4]) + bytes(5)


@pytest.mark.parametrize("greeting", [b"", HTTP2])
async def test_connections_are_capped_and_silent_ones_end(tmp_path: Path, greeting: bytes) -> None:
    """Neither those that say nothing nor those that call nothing take all descriptors."""
    bound = 4
    async with serving(tmp_path, connections=bound, head_seconds=1) as served:
        address = ("127.0.0.1", served.server.port)
        opened = [await asyncio.open_connection(*address) for _ in range(3 * bound)]
        for _, writer in opened:
            writer.write(greeting)

        def ended() -> int:
            return sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened)

        reading = [asyncio.create_task(reader.read(-1)) for reader, _ in opened]
        await until(lambda: ended() >= 2 * bound)
        if greeting:
            assert ended() == 2 * bound
        else:
            await until(lambda: ended() == 3 * bound)
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*reading, return_exceptions=True)
        stub = health_pb2_grpc.HealthStub(served.channel)
        question = health_pb2.HealthCheckRequest()
        await stub.Check(question, wait_for_ready=True, timeout=PATIENCE)


async def test_clients_may_ping_as_documented(served: Served) -> None:
    """Pings every 5 s without calls are allowed; see the options, time is too short to wait."""
    from gateway.services.lipsync.grpc.server import server_options

    found = dict(server_options(served.gateway.context.settings.lipsync.server, 1, 10))
    assert found["grpc.keepalive_time_ms"] == 10_000
    assert found["grpc.keepalive_timeout_ms"] == 3_000
    assert found["grpc.http2.min_ping_interval_without_data_ms"] == 5_000
    assert found["grpc.keepalive_permit_without_calls"] == 1


async def test_pings_without_calls_are_allowed_as_often_as_configured(tmp_path: Path) -> None:
    """A client that pings every second stays connected, unless that is too often."""
    options = [
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]

    @asynccontextmanager
    async def pinging(interval: float) -> AsyncIterator[grpc.aio.Channel]:
        folder = tmp_path / str(interval)
        folder.mkdir()
        async with (
            serving(folder, server={"min_ping_interval_seconds": interval}) as served,
            grpc.aio.insecure_channel(served.address, options=options) as channel,
        ):
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            yield channel

    async with pinging(0.5) as allowed, pinging(60) as refused:
        await until(lambda: refused.get_state() is grpc.ChannelConnectivity.IDLE)
        assert allowed.get_state() is grpc.ChannelConnectivity.READY  # after one ping more
