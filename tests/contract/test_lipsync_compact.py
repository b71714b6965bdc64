"""The compact formats, per-frame audio and raw audio: additions that old clients do not know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.services.lipsync.audio.alignment import per_frame
from gateway.services.lipsync.audio.features import mel_windows
from gateway.triton.status import ModelDeadError
from tests.support.lipsync_gateway import Served, audio, frames, serving
from tests.support.lipsync_triton import mouth

KINDS = {"FP32": np.float32, "FP16": np.float16, "UINT8": np.uint8}
BOTH = pytest.mark.parametrize("dialect", [1, 2])


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


def encoded(values: np.ndarray, kind: str) -> np.ndarray:
    scaled = np.round(values * 255) if kind == "UINT8" else values
    return scaled.astype(KINDS[kind])


async def ask(served: Served, dialect: int, **values: Any) -> Any:
    client = served.client(dialect)
    given = {"model_id": "tenant_1", "audio_features": audio().tobytes(), **values}
    return await client.InferBatch(client.messages.InferBatchRequest(**given))


@BOTH
@pytest.mark.parametrize("output", KINDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [3, 6])
async def test_formats(served: Served, dialect: int, kind: str, output: str, channels: int) -> None:
    sent = encoded(frames(2, channels) / 2, kind)
    reply = await ask(
        served, dialect, visual_frames=sent.tobytes(), batch_size=2, frame_format=kind,
        output_format=output, input_channels=channels,
    )  # fmt: skip
    assert reply.success, reply.error
    scale = 255 if kind == "UINT8" else 1
    expected = encoded(mouth(sent.astype(np.float32) / scale, audio(), "tenant_1"), output)
    assert len(reply.outputs) == 2
    for one, frame in zip(reply.outputs, expected, strict=True):
        assert one.data == frame.tobytes()


@BOTH
async def test_one_block(served: Served, dialect: int) -> None:
    reply = await ask(
        served, dialect, visual_frames=frames(3).tobytes(), batch_size=3, output_block=True
    )
    assert reply.success
    assert len(reply.outputs) == 0
    assert reply.output_block == mouth(frames(3), audio(), "tenant_1").tobytes()


@BOTH
async def test_audio_per_frame(served: Served, dialect: int) -> None:
    reply = await ask(
        served, dialect, visual_frames=frames(3).tobytes(), batch_size=3,
        audio_features=audio(3).tobytes(), audio_per_frame=True,
    )  # fmt: skip
    expected = mouth(frames(3), audio(3), "tenant_1")
    assert [one.data for one in reply.outputs] == [frame.tobytes() for frame in expected]
    # One block for every frame is not the same.
    assert reply.outputs[1].data != mouth(frames(3), audio(1), "tenant_1")[1].tobytes()


@BOTH
async def test_raw_audio(tmp_path: Path, dialect: int) -> None:
    encoder = tmp_path / "encoder.onnx"
    encoder.write_text("x")
    sound = np.random.default_rng(1).normal(0, 0.1, 3 * 640 + 9000).astype("<f4")
    async with serving(tmp_path, lipsync={"audio_encoder": str(encoder)}) as served:
        reply = await ask(
            served, dialect, visual_frames=frames(3).tobytes(), batch_size=3,
            raw_audio=sound.tobytes(), audio_features=b"does not count",
        )  # fmt: skip
        assert reply.success, reply.error
        windows, rows = mel_windows(memoryview(sound.tobytes()), 3)
        vectors = np.repeat(windows.mean(axis=(1, 2))[:, None], 512, axis=1)
        features = per_frame(vectors, rows, 3)
        # The first value of a frame's block lies before the sound: the last tells the alignment.
        assert features[0, 0, 0, 0] == 0 != features[0, -1, -1, -1]
        expected = mouth(frames(3), features, "tenant_1")
        for one, frame in zip(reply.outputs, expected, strict=True):
            np.testing.assert_allclose(np.frombuffer(one.data, "<f4"), frame.ravel(), atol=1e-6)
        assert reply.audio_processing_ms > 0

        served.triton.encoder_failures.append(ModelDeadError("audio_encoder"))
        again = await ask(
            served, dialect, visual_frames=frames(3).tobytes(), batch_size=3,
            raw_audio=sound.tobytes(),
        )  # fmt: skip
        assert again.success, again.error
        assert [one.data for one in again.outputs] == [one.data for one in reply.outputs]
        assert served.triton.encoder_failures == []

        for bad, words in (
            (b"\0", "Failed to process audio to mel-spectrogram: 1 bytes are no whole number"),
            (np.float32(np.nan).tobytes(), "Failed to process audio to mel-spectrogram: not every"),
        ):
            reply = await ask(
                served, dialect, visual_frames=frames(1).tobytes(), batch_size=1, raw_audio=bad
            )
            assert not reply.success
            assert reply.error.startswith(words)


def test_old_clients_do_not_see_the_additions() -> None:
    """An answer to a request without additions holds fields of the documented numbers alone."""
    from gateway.services.lipsync.grpc.dialects import Dialect, success
    from gateway.services.lipsync.grpc.wire import fields

    for dialect in (Dialect.V1, Dialect.V2):
        answer = success(
            dialect, [memoryview(b"x")], inference_ms=1, audio_ms=0, device=1, one_block=False
        )
        assert max(number for number, _, _ in fields(memoryview(answer))) < 20
