"""Frames through gateway and Triton against plain sessions of the tenants' own files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import grpc
import httpx
import numpy as np
import pytest

from gateway.services.lipsync.audio.alignment import per_frame
from gateway.services.lipsync.audio.features import mel_windows
from gateway.triton.region_files import PREFIX, SHM
from tests.support import monitoring
from tests.support.lipsync_model import MODEL, LipsyncModel
from tests.support.lipsync_stream import faces, mouths, opened, said, sound, start
from tests.support.lipsync_tenants import audio, frames
from tests.support.stack import ROOT, Stack
from tests.triton.lipsync.gateway.conftest import TENANTS, LipsyncStack

CLOSE = 1e-5
CANCELLED = 20  # calls; all their frames together take many seconds


@dataclass
class Device:
    """What a client of the models needs of the server in the stack."""

    stack: Stack

    @property
    def grpc_url(self) -> str:
        return self.stack.triton


def fields(tenant: str, count: int, **changes: Any) -> dict[str, Any]:
    """A request of an old client, then the changes."""
    return {
        "model_id": tenant,
        "visual_frames": frames(count).tobytes(),
        "audio_features": audio().tobytes(),
        "batch_size": count,
        **changes,
    }


def planes(reply: Any) -> np.ndarray:
    """The answer's frames, float32 [n, 3, 320, 320]."""
    assert reply.success, reply.error
    blocks = [np.frombuffer(one.data, "<f4").reshape(3, 320, 320) for one in reply.outputs]
    return np.stack(blocks)


@pytest.mark.parametrize("dialect", [1, 2])
async def test_answers_equal_a_plain_session(lipsync_stack: LipsyncStack, dialect: int) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel, dialect)
        for number in range(TENANTS):
            tenant = f"tenant_{number}"
            request = client.messages.InferBatchRequest(**fields(tenant, 3))
            reply = await client.InferBatch(request)
            expected = lipsync_stack.plain(tenant)(frames(3), audio())
            assert np.abs(planes(reply) - expected).max() < CLOSE
            assert reply.inference_time_ms > 0
    assert list(SHM.glob(f"{PREFIX}*"))  # it went through shared memory


async def test_the_largest_documented_batch(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        request = client.messages.InferBatchRequest(**fields("tenant_0", 50))
        reply = await client.InferBatch(request)
        found = planes(reply)
        last = lipsync_stack.plain("tenant_0")(frames(50)[-1:], audio())
        assert found.shape == (50, 3, 320, 320)
        assert np.abs(found[-1] - last[0]).max() < CLOSE


async def test_tenants_are_spread_over_both_devices(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        for number in range(TENANTS):  # wherever another test's killed device left them
            await client.UnloadModel(
                client.messages.UnloadModelRequest(model_id=f"tenant_{number}")
            )
        used = set()
        for number in range(TENANTS):
            request = client.messages.InferBatchRequest(**fields(f"tenant_{number}", 1))
            used.add((await client.InferBatch(request)).gpu_id)
        assert used == {0, 1}
        health = await client.Health(client.messages.HealthRequest())
        assert health.healthy
        assert health.gpu_count == 2
        assert sum(one.loaded_models for one in health.gpus) == health.loaded_models == TENANTS


async def test_compact_formats_equal_the_plain_ones(lipsync_stack: LipsyncStack) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (2, 3, 320, 320), dtype=np.uint8)
    whole = pixels.astype(np.float32) / 255
    masked = whole.copy()
    masked[:, :, 5:306, 5:311] = 0
    given = np.concatenate([whole, masked], axis=1)
    expected = lipsync_stack.plain("tenant_1")(given, audio())
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        compact = fields(
            "tenant_1", 2, visual_frames=pixels.tobytes(), frame_format="UINT8", input_channels=3
        )
        reply = await client.InferBatch(client.messages.InferBatchRequest(**compact))
        assert np.abs(planes(reply) - expected).max() < CLOSE
        compact |= {"output_format": "UINT8", "output_block": True}
        reply = await client.InferBatch(client.messages.InferBatchRequest(**compact))
        assert reply.success, reply.error
        found = np.frombuffer(reply.output_block, np.uint8).reshape(2, 3, 320, 320)
        assert np.abs(found - expected * 255).max() < 0.51
        halves = fields(
            "tenant_1", 2, visual_frames=given.astype(np.float16).tobytes(), frame_format="FP16",
            output_format="FP16", output_block=True,
        )  # fmt: skip
        reply = await client.InferBatch(client.messages.InferBatchRequest(**halves))
        assert reply.success, reply.error
        found = np.frombuffer(reply.output_block, np.float16).reshape(2, 3, 320, 320)
        assert np.abs(found - expected).max() < 5e-3


@pytest.mark.parametrize("dialect", [1, 2])
async def test_raw_audio_equals_the_encoder_and_alignment(
    lipsync_stack: LipsyncStack, dialect: int
) -> None:
    import onnxruntime

    sound = np.random.default_rng(4).normal(0, 0.1, 15_360).astype("<f4")
    session = onnxruntime.InferenceSession(
        str(lipsync_stack.encoder), providers=["CPUExecutionProvider"]
    )
    (name,) = (one.name for one in session.get_inputs())
    windows, rows = mel_windows(memoryview(sound.tobytes()), 4)
    vectors = [session.run(None, {name: one[None, None]})[0].reshape(-1) for one in windows]
    features = per_frame(np.stack(vectors), rows, 4)
    expected = lipsync_stack.plain("tenant_2")(frames(4), features)
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel, dialect)
        given = fields("tenant_2", 4, raw_audio=sound.tobytes(), audio_features=b"")
        reply = await client.InferBatch(client.messages.InferBatchRequest(**given))
        assert np.abs(planes(reply) - expected).max() < CLOSE
        assert reply.audio_processing_ms > 0


async def test_a_cancelled_call_stops_computing(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        single = client.messages.InferBatchRequest(**fields("tenant_3", 1))
        device = (await client.InferBatch(single)).gpu_id
        model = LipsyncModel(Device(lipsync_stack.stack), f"lipsync_{device}" if device else MODEL)
        pixels = bytes(50 * 3 * 320 * 320)
        compact = {"frame_format": "UINT8", "input_channels": 3, "visual_frames": pixels}
        request = client.messages.InferBatchRequest(**fields("tenant_3", 50, **compact))

        async def computed() -> tuple[int, int]:
            """Frames of the tenant so far, and its requests under way."""
            row = (await asyncio.to_thread(model.stats))["tenants"]["tenant_3"]
            return row["frames"], row["in_flight"]

        before, _ = await computed()
        calls = [client.InferBatch(request) for _ in range(CANCELLED)]
        while (await computed())[1] == 0:
            assert not all(call.done() for call in calls)
        for call in calls:
            call.cancel()
        reply = await client.InferBatch(single)
        while (await computed())[1]:
            await asyncio.sleep(0.02)
        assert (await computed())[0] - before < CANCELLED * 50
        model.close()
        expected = lipsync_stack.plain("tenant_3")(frames(1), audio())
        assert np.abs(planes(reply) - expected).max() < CLOSE


async def test_deadlines_end_calls(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        request = client.messages.InferBatchRequest(**fields("tenant_0", 50))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.InferBatch(request, timeout=0.05)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        single = client.messages.InferBatchRequest(**fields("tenant_0", 1))
        assert (await client.InferBatch(single)).success


async def test_a_stream_gives_what_one_call_gives(lipsync_stack: LipsyncStack) -> None:
    count = 30
    given = frames(count, channels=3)
    voice = np.random.default_rng(5).normal(0, 0.1, count * 640).astype("<f4")
    async with lipsync_stack.channel() as channel:
        client = lipsync_stack.client(channel)
        whole = await client.InferBatch(
            client.messages.InferBatchRequest(
                model_id="tenant_1", batch_size=count, visual_frames=given.tobytes(),
                input_channels=3, raw_audio=voice.tobytes(),
            )
        )  # fmt: skip
        assert whole.success, whole.error
        expected = np.stack([np.frombuffer(one.data, "<f4") for one in whole.outputs])
        parts = [
            start("tenant_1", sample_format=1, input_channels=3),
            *(part for at in range(0, count, 3)
              for part in (faces(given[at : at + 3]), sound(voice[at * 640 : (at + 3) * 640]))),
        ]  # fmt: skip
        indices, made = mouths((await said(opened(channel), parts))[1:])
    assert indices == list(range(count))
    np.testing.assert_allclose(made.reshape(count, -1), expected, atol=1e-3)


async def test_what_grafana_shows_is_in_the_scrape(lipsync_stack: LipsyncStack) -> None:
    async with lipsync_stack.channel() as channel:
        reply = await lipsync_stack.client(channel).InferBatch(
            lipsync_stack.client(channel).messages.InferBatchRequest(**fields("tenant_0", 1))
        )
    assert reply.success
    text = httpx.get(lipsync_stack.stack.main + "/metrics", timeout=60).raise_for_status().text
    series, asked = monitoring.exported(text), 0
    for where, expression in monitoring.expressions():
        names, _ = monitoring.used(expression)
        own = {name for name in names if name.startswith(monitoring.LIPSYNC)}
        assert own <= series.keys(), where
        asked += len(own)
    assert asked > 10


def test_the_example_of_a_stream_writes_a_clip(lipsync_stack: LipsyncStack, tmp_path: Path) -> None:
    target = tmp_path / "speaking.mp4"
    out = subprocess.run(
        [
            sys.executable, "examples/lipsync_stream.py", "--address", lipsync_stack.address,
            "--hasty", "--output", str(target),
        ],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "50 mouths of tenant_0" in out.stdout
    with av.open(str(target)) as clip:
        assert sum(1 for _ in clip.decode(video=0)) == 50


@pytest.mark.parametrize("arguments", [[], ["--compact"]])
def test_the_example_client_writes_a_clip(
    lipsync_stack: LipsyncStack, tmp_path: Any, arguments: list[str]
) -> None:
    target = tmp_path / "mouth.mp4"
    out = subprocess.run(
        [
            sys.executable, "examples/lipsync_client.py", "--address", lipsync_stack.address,
            "--frames", "4", "--batch", "2", "--output", str(target), *arguments,
        ],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "4 frames of tenant_0" in out.stdout
    with av.open(str(target)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert [frame.shape for frame in frames] == [(320, 320, 3)] * 4
    assert min(np.ptp(frame) for frame in frames) > 100
