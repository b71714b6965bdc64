"""What happens to calls and shared memory when servers end."""

from __future__ import annotations

import asyncio
import signal
import time

import grpc

from gateway.triton.region_files import PREFIX, SHM
from tests.support.knocker import Knocker
from tests.support.lipsync_tenants import audio, frames
from tests.support.waiting import until
from tests.triton.lipsync.gateway.conftest import LipsyncStack

AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_a_restarted_triton_serves_again_through_shared_memory(
    lipsync_stack: LipsyncStack,
) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        request = client.messages.InferBatchRequest(
            model_id="tenant_1", visual_frames=frames(2).tobytes(),
            audio_features=audio().tobytes(), batch_size=2,
        )  # fmt: skip
        first = await client.InferBatch(request)
        assert first.success, first.error
        regions = {path.name for path in SHM.glob(f"{PREFIX}*")}
        assert regions
        (server,) = lipsync_stack.stack.named("bin/tritonserver --model-repository")
        server.send_signal(signal.SIGKILL)
        end = time.monotonic() + 120
        again = None
        while again is None:
            try:
                again = await client.InferBatch(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AWAY or time.monotonic() > end:
                    raise
                await asyncio.sleep(0.2)
        assert [one.data for one in again.outputs] == [one.data for one in first.outputs]
    await asyncio.to_thread(lipsync_stack.stack.wait_ready, 120)


async def test_a_killed_gateway_refuses_no_connection(lipsync_stack: LipsyncStack) -> None:
    stack = lipsync_stack.stack
    host, _, port = stack.lipsync.rpartition(":")
    (gateway,) = stack.named("-m gateway serve")
    with Knocker(host, int(port)) as knocker:
        await until(lambda: knocker.outcomes["accepted"] > 50)
        before = knocker.outcomes["accepted"]
        gateway.send_signal(signal.SIGKILL)
        async with lipsync_stack.channel() as channel:  # made while there is no gateway
            client = lipsync_stack.client(channel)
            answer = await client.ListModels(
                client.messages.ListModelsRequest(), timeout=60, wait_for_ready=True
            )
        assert answer.models
        await asyncio.to_thread(stack.wait_ready, 120)
        assert knocker.outcomes["accepted"] > before
    # Those that had just been accepted end with the process; their connection was made.
    assert set(knocker.outcomes) == {"accepted"}
