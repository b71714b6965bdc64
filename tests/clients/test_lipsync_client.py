"""The compositing server's stub (Go) by its dialect, its pings, and the tools around it."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from tests.clients.conftest import Old
from tests.support.lipsync_protos import OldClient
from tests.support.lipsync_tenants import audio, frames

MEBI = 2**20
GO = [  # as its channel is made
    ("grpc.max_receive_message_length", 50 * MEBI),
    ("grpc.max_send_message_length", 50 * MEBI),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.primary_user_agent", "grpc-go/1.60.1"),
]


@pytest.fixture
def channel(old: Old) -> grpc.Channel:
    with grpc.insecure_channel(old.stack.lipsync, options=GO) as opened:
        yield opened


def test_it_starts_only_after_a_healthy_answer(old: Old, channel: grpc.Channel) -> None:
    client = OldClient(channel, 1)
    health = client.Health(client.messages.HealthRequest(), timeout=5)
    assert health.healthy
    assert health.version == "1.0.0"
    assert health.max_models > 0
    listed = client.ListModels(client.messages.ListModelsRequest(), timeout=5)
    assert [one.model_id for one in listed.models] == [old.tenant]


@pytest.mark.parametrize("count", [1, 5])
def test_a_request_as_the_stub_fills_it(old: Old, channel: grpc.Channel, count: int) -> None:
    client = OldClient(channel, 1)
    faces = frames(count)
    request = client.messages.InferBatchRequest(
        model_id=old.tenant,
        visual_frames=faces.astype("<f4").tobytes(),
        audio_features=audio().astype("<f4").tobytes(),
        batch_size=count,
    )
    reply = client.InferBatch(request, timeout=60)
    assert (reply.success, reply.error) == (True, "")
    assert len(reply.outputs) == count
    for one in reply.outputs:
        mouth = np.frombuffer(one.data, "<f4")
        assert mouth.size == 3 * 320 * 320
        assert 0 <= mouth.min() < mouth.max() <= 1


def test_what_it_reads_of_a_failure(old: Old, channel: grpc.Channel) -> None:
    client = OldClient(channel, 1)
    kind = client.messages
    unknown = kind.InferBatchRequest(
        model_id="nobody", visual_frames=frames(1).tobytes(), audio_features=audio().tobytes(),
        batch_size=1,
    )  # fmt: skip
    reply = client.InferBatch(unknown, timeout=60)
    assert not reply.success
    assert "model 'nobody' not configured" in reply.error
    wrong = client.InferBatch(kind.InferBatchRequest(model_id=old.tenant, batch_size=51))
    assert (wrong.success, wrong.error) == (False, "Invalid batch size: 51 (must be 1-50)")
    loaded = client.LoadModel(kind.LoadModelRequest(model_id=old.tenant, force_reload=True))
    assert loaded.success
    with pytest.raises(grpc.RpcError) as caught:
        client.GetModelStats(kind.GetModelStatsRequest(model_id="nobody"))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN  # type: ignore[attr-defined]


def test_the_old_servers_own_dialect(old: Old, channel: grpc.Channel) -> None:
    client = OldClient(channel, 2)
    request = client.messages.InferBatchRequest(
        model_id=old.tenant,
        visual_frames=frames(1).tobytes(),
        audio_features=audio().tobytes(),
        batch_size=1,
        sample_rate=16000,
    )
    reply = client.InferBatch(request, timeout=60)
    assert reply.success
    assert len(reply.outputs) == 1
