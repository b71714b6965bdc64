"""Requests of megabytes leave nothing behind, without the help of the garbage collector."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

from tests.support.lipsync_gateway import frames, serving

CALLS = 12
LEFT = 3 * 2_457_600  # bytes of three requests: what may still be on its way out


async def test_calls_leave_no_message_behind(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = served.client(1)
        given, sound = frames(1).tobytes(), bytes(32_768)

        async def call() -> None:
            request = client.messages.InferBatchRequest(
                model_id="tenant_1", visual_frames=given, audio_features=sound, batch_size=1
            )
            reply = await client.InferBatch(request)
            assert reply.success, reply.error

        await call()
        gc.collect()
        gc.disable()  # the gateway's runs so seldom that megabytes in cycles add up to gigabytes
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(CALLS):
                await call()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert after - before < LEFT
