"""The documented RPCs in both dialects, on a real wire, with clients of generated stubs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from gateway.errors import GatewayError, InferenceError, UnavailableError
from gateway.triton.status import ModelDeadError, RefusedInputError, ServerGoneError
from tests.support.lipsync_gateway import Served, audio, frames, serving
from tests.support.lipsync_protos import raw
from tests.support.lipsync_triton import mark, mouth

FRAME = 2_457_600
BOTH = pytest.mark.parametrize("dialect", [1, 2])


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


def request(served: Served, dialect: int, count: int = 1, **changes: Any) -> Any:
    """A good request of an old client, then the changes."""
    values: dict[str, Any] = {
        "model_id": "tenant_1",
        "visual_frames": frames(count).tobytes(),
        "audio_features": audio().tobytes(),
        "batch_size": count,
        **changes,
    }
    return served.client(dialect).messages.InferBatchRequest(**values)


@BOTH
@pytest.mark.parametrize("count", [1, 3])
async def test_frames_come_back_byte_for_byte(served: Served, dialect: int, count: int) -> None:
    given = request(served, dialect, count)
    if dialect == 2:
        given.sample_rate = 16_000
    answer = await raw(served.channel)(given.SerializeToString())
    expected = mouth(frames(count), audio(), "tenant_1")
    kind = served.client(dialect).messages
    written = kind.InferBatchResponse(success=True, inference_time_ms=12.5)
    written.outputs.extend(kind.RawMouthRegion(data=one.tobytes()) for one in expected)
    assert answer == written.SerializeToString(deterministic=True)
    assert served.triton.calls == [("tenant_1", count)]
    assert served.triton.transports == ["shared_memory"]


@BOTH
async def test_tenants_answer_with_their_own_weights(served: Served, dialect: int) -> None:
    client = served.client(dialect)
    for tenant in ("tenant_1", "tenant_2", "tenant_1"):
        reply = await client.InferBatch(request(served, dialect, model_id=tenant))
        found = np.frombuffer(reply.outputs[0].data, np.float32)
        plain = frames(1)[0, :3].reshape(-1) + np.float32(0.25) + np.float32(mark(tenant))
        np.testing.assert_array_equal(found, plain)


@BOTH
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model_id": ""}, "model_id is required"),
        ({"model_id": "x" * 129}, "Invalid model_id: longer than 128 characters"),
        ({"batch_size": 51}, "Invalid batch size: 51 (must be 1-50)"),
        ({"batch_size": -1}, "Invalid batch size: -1 (must be 1-50)"),
        (
            {"batch_size": 2},
            f"Invalid visual frames size: got {FRAME} bytes, expected {2 * FRAME} bytes",
        ),
        (
            {"audio_features": bytes(32_764)},
            "Invalid audio features size: got 32764 bytes, expected 32768 bytes",
        ),
        ({"audio_features": b""}, "Either raw_audio or audio_features must be provided"),
        (
            {"raw_audio": bytes(2560)},
            "Raw audio processing not available (audio encoder not initialized)",
        ),
        (
            {"model_id": "nobody"},
            "Failed to load model 'nobody': model 'nobody' not configured",
        ),
    ],
)
async def test_documented_errors_are_in_the_answer(
    served: Served, dialect: int, changes: dict[str, Any], error: str
) -> None:
    reply = await served.client(dialect).InferBatch(request(served, dialect, **changes))
    assert (reply.success, reply.error, len(reply.outputs)) == (False, error, 0)
    assert served.triton.calls == []


@pytest.mark.parametrize("dialect", [1, 2])
async def test_an_omitted_batch_size_is_0_and_told_to_both_dialects(
    served: Served, dialect: int
) -> None:
    given = request(served, 1, batch_size=0).SerializeToString()
    answer = await raw(served.channel)(given)
    reply = served.client(dialect).messages.InferBatchResponse.FromString(answer)
    assert (reply.success, reply.error) == (False, "Invalid batch size: 0 (must be 1-50)")


@BOTH
async def test_a_broken_file_fails_its_tenant_alone(tmp_path: Path, dialect: int) -> None:
    async with serving(tmp_path) as served:
        (tmp_path / "tenants" / "tenant_2.onnx").write_text("bad file")
        reply = await served.client(dialect).InferBatch(
            request(served, dialect, model_id="tenant_2")
        )
        assert not reply.success
        assert reply.error.startswith("Failed to load model 'tenant_2': failed to create infer")
        assert str(tmp_path) not in reply.error
        assert (await served.client(dialect).InferBatch(request(served, dialect))).success


@BOTH
@pytest.mark.parametrize("error", [InferenceError(), RefusedInputError("frames_invalid")])
async def test_a_failed_inference_is_in_the_answer(
    served: Served, dialect: int, error: GatewayError
) -> None:
    served.triton.failures.append(error)
    reply = await served.client(dialect).InferBatch(request(served, dialect))
    assert not reply.success
    assert reply.error.startswith("Inference failed: ")


async def test_a_tenant_that_the_model_lost_is_loaded_again(served: Served) -> None:
    client = served.client(1)
    assert (await client.InferBatch(request(served, 1))).success
    served.triton.tenants["lipsync"].clear()
    assert (await client.InferBatch(request(served, 1))).success


async def test_a_call_survives_the_death_of_the_models_process(served: Served) -> None:
    served.triton.failures.append(ModelDeadError("lipsync"))
    assert (await served.client(1).InferBatch(request(served, 1))).success
    assert "lipsync" in served.triton.aborted


async def test_a_call_survives_the_death_of_triton(served: Served) -> None:
    served.triton.failures += [ServerGoneError(ran=True), ServerGoneError(ran=False)]
    assert (await served.client(1).InferBatch(request(served, 1))).success
    metrics = served.gateway.context.metrics.render().decode()
    assert 'pentad_inference_retries_total{cause="server",model="lipsync"} 2.0' in metrics


async def test_a_call_that_kills_twice_is_not_tried_again(served: Served) -> None:
    served.triton.failures += [ModelDeadError("lipsync"), ModelDeadError("lipsync")]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.client(1).InferBatch(request(served, 1))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert served.triton.failures == []


async def test_a_triton_that_is_down_is_a_status(served: Served) -> None:
    served.triton.failures.append(UnavailableError(retry_after=2))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.client(1).InferBatch(request(served, 1))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert dict(caught.value.trailing_metadata())["retry-after"] == "2"


@BOTH
async def test_list_load_stats_unload(
    served: Served, dialect: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, kind = served.client(dialect), served.client(dialect).messages
    listed = await client.ListModels(kind.ListModelsRequest())
    assert {one.model_id: (one.loaded, one.model_path) for one in listed.models} == {
        "tenant_1": (False, "tenant_1.onnx"), "tenant_2": (False, "tenant_2.onnx"),
    }  # fmt: skip
    assert not listed.models[0].HasField("stats")

    loaded = await client.LoadModel(kind.LoadModelRequest(model_id="tenant_1"))
    assert (loaded.success, loaded.error) == (True, "")
    assert loaded.stats.memory_bytes == 1000 + len("weights of tenant_1")
    assert loaded.stats.loaded_unix_ms > 1.7e12
    monkeypatch.setattr(served.gateway.listeners.services["lipsync"].pool, "clock", lambda: 1e6)
    again = await client.LoadModel(kind.LoadModelRequest(model_id="tenant_1"))
    assert again.success
    assert again.load_time_ms == 0  # by the clock above: nothing of the first load is told again
    assert served.triton.commands.count(("load", "tenant_1")) == 1
    monkeypatch.undo()

    await client.InferBatch(request(served, dialect, 2))
    stats = await client.GetModelStats(kind.GetModelStatsRequest())
    assert [one.model_id for one in stats.models] == ["tenant_1"]
    (one,) = stats.models
    assert one.loaded
    assert (one.stats.usage_count, one.stats.total_inference_time_ms) == (1, 12.5)
    assert one.stats.last_used_unix_ms >= one.stats.loaded_unix_ms
    assert (stats.loaded_models, stats.max_models) == (1, 1200)
    assert stats.total_memory_bytes == one.stats.memory_bytes
    single = await client.GetModelStats(kind.GetModelStatsRequest(model_id="tenant_1"))
    assert single.models == stats.models

    done = await client.UnloadModel(kind.UnloadModelRequest(model_id="tenant_1"))
    assert (done.success, done.error) == (True, "")
    assert served.triton.tenants["lipsync"] == {}
    done = await client.UnloadModel(kind.UnloadModelRequest(model_id="tenant_1"))
    assert (done.success, done.error) == (
        False, "Failed to unload model: model 'tenant_1' not loaded",
    )  # fmt: skip


async def test_force_reload_reads_the_file_again(served: Served, tmp_path: Path) -> None:
    client, kind = served.client(1), served.client(1).messages
    first = await client.LoadModel(kind.LoadModelRequest(model_id="tenant_1"))
    (tmp_path / "tenants" / "tenant_1.onnx").write_text("other weights, more of them")
    again = await client.LoadModel(kind.LoadModelRequest(model_id="tenant_1", force_reload=True))
    assert again.stats.memory_bytes != first.stats.memory_bytes
    assert again.success


async def test_errors_of_load_and_unload_are_in_the_answer(served: Served, tmp_path: Path) -> None:
    client, kind = served.client(1), served.client(1).messages
    load, unload = kind.LoadModelRequest, kind.UnloadModelRequest
    assert (await client.LoadModel(load())).error == "model_id is required"
    assert (await client.UnloadModel(unload())).error == "model_id is required"
    words = "Failed to load model: model 'nobody' not configured"
    assert (await client.LoadModel(load(model_id="nobody"))).error == words
    words = "Failed to unload model: model 'nobody' not loaded"
    assert (await client.UnloadModel(unload(model_id="nobody"))).error == words
    (tmp_path / "tenants" / "tenant_2.onnx").unlink()
    reply = await client.LoadModel(load(model_id="tenant_2"))
    assert not reply.success
    assert reply.error.startswith("Failed to load model: ")


async def test_stats_of_one_that_is_not_loaded_are_a_status(served: Served) -> None:
    client, kind = served.client(1), served.client(1).messages
    for tenant in ("tenant_1", "nobody"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.GetModelStats(kind.GetModelStatsRequest(model_id=tenant))
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert caught.value.details() == f"model '{tenant}' not loaded"


async def test_health_tells_the_devices(tmp_path: Path) -> None:
    async with serving(tmp_path, lipsync={"gpus": {"count": 2}}) as served:
        client, kind = served.client(1), served.client(1).messages
        for tenant in ("tenant_1", "tenant_2"):
            await client.LoadModel(kind.LoadModelRequest(model_id=tenant))
        health = await client.Health(kind.HealthRequest())
        assert health.healthy
        assert not health.cuda_available
        assert (health.loaded_models, health.max_models) == (2, 1200)
        assert (health.gpu_count, health.version) == (2, "1.0.0")
        assert [one.gpu_id for one in health.gpus] == [0, 1]
        assert [one.loaded_models for one in health.gpus] == [1, 1]
        assert {one.name for one in health.gpus} == {"Toy CPU"}
        assert health.gpus[0].total_memory_bytes == 2**34
        reply = await client.InferBatch(request(served, 1, model_id="tenant_2"))
        assert reply.gpu_id == 1


@pytest.mark.parametrize("junk", [b"\x07", b"\x0a\x05ab", b"\x0a\x01\xff", b"\x20" + b"\xff" * 10])
@pytest.mark.parametrize("rpc", ["InferBatch", "LoadModel"])
async def test_junk_is_an_invalid_argument(served: Served, junk: bytes, rpc: str) -> None:
    if rpc == "LoadModel" and junk[0] == 0x20:
        junk = b"\x08"  # truncated
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw(served.channel, rpc)(junk)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "malformed" in (caught.value.details() or "")
    assert (await served.client(1).InferBatch(request(served, 1))).success


async def test_two_tenants_at_once_never_mix(served: Served) -> None:
    client = served.client(1)
    served.triton.seconds = 0.001

    async def hammer(tenant: str, seed: int) -> None:
        given = frames(1, seed=seed)
        expected = mouth(given, audio(value=seed), tenant).tobytes()
        for _ in range(15):
            changes = {"visual_frames": given.tobytes(), "model_id": tenant}
            sound = audio(value=seed).tobytes()
            reply = await client.InferBatch(request(served, 1, audio_features=sound, **changes))
            assert reply.outputs[0].data == expected

    await asyncio.gather(*(hammer(f"tenant_{1 + seed % 2}", seed) for seed in range(4)))


async def test_calls_are_counted_for_metrics_and_dashboard(served: Served) -> None:
    client = served.client(1)
    await client.InferBatch(request(served, 1))
    await client.InferBatch(request(served, 1, model_id="nobody"))
    text = (await served.gateway.main.get("/metrics")).text
    row = (
        'pentad_requests_total{method="gRPC",route="InferBatch",service="lipsync",status="%d"} 1.0'
    )
    assert row % 200 in text
    assert row % 404 in text
    summary = served.gateway.context.activity.summary("lipsync")
    assert summary["recent_errors"][0]["detail"].endswith("not configured")
