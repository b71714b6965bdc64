"""InferStream against a stand-in for Triton: order, pieces, resuming, lateness, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from gateway.services.lipsync.audio.alignment import per_frame
from gateway.services.lipsync.audio.features import mel_windows
from gateway.services.lipsync.audio.sound_stream import SoundStream
from gateway.services.lipsync.grpc import stream, stream_buffer
from tests.support.gateway import until
from tests.support.lipsync_gateway import Served, serving
from tests.support.lipsync_protos import SERVICE, messages
from tests.support.lipsync_stream import faces, mouths, opened, rest, said, sound, start
from tests.support.lipsync_triton import LipsyncTriton, mouth

FRAMES = 40
UINT8 = {"frame_format": 2, "output_format": 2, "input_channels": 3}
FLOAT = {"sample_format": 1}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    lipsync = {"audio_encoder": str(tmp_path / "encoder.onnx"), "transport": "grpc"}
    async with serving(tmp_path, lipsync=lipsync) as running:
        yield running


def voice(frames: int = FRAMES, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 0.1, frames * 640 - 77).astype("<f4")


def pictures(count: int, channels: int = 6) -> np.ndarray[Any, Any]:
    """Frames that differ, FP32 [n, channels, 320, 320]."""
    grey = np.linspace(0.1, 0.4, count, dtype=np.float32)
    return np.broadcast_to(grey[:, None, None, None], (count, channels, 320, 320)).copy()


def expected(samples: np.ndarray[Any, Any], given: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What one call with all of it gives for tenant_1, by the stand-in's encoder."""
    frames = -(-len(samples) // 640)
    found, rows = mel_windows(memoryview(samples.tobytes()), frames)
    vectors = np.repeat(found.mean(axis=(1, 2))[:, None], 512, axis=1).astype(np.float32)
    audio = per_frame(vectors, rows, frames)[: len(given)]
    return np.asarray(mouth(given[:frames], audio, "tenant_1"))


async def refused(call: Any, parts: list[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await said(call, parts)
    return caught.value


async def test_pieces_in_any_order_give_what_one_call_gives(served: Served) -> None:
    samples, given = voice(), pictures(FRAMES)
    pieces = np.array_split(samples, 23)
    orders = [
        [*map(sound, pieces), *(faces(given[at : at + 7]) for at in range(0, FRAMES, 7))],
        [*(faces(given[[at]]) for at in range(FRAMES)), *map(sound, pieces)],
        [part for at in range(23) for part in (sound(pieces[at]), faces(given[2 * at : 2 * at + 2]))
         if at < 20 or part.WhichOneof("part") == "sound"],
    ]  # fmt: skip
    for order in orders:
        answers = await said(opened(served.channel), [start("tenant_1", **FLOAT), *order])
        assert answers[0].started == messages(1).StreamStarted(sound_frame=0, first_frame=0)
        indices, made = mouths(answers[1:])
        assert indices == list(range(FRAMES))
        np.testing.assert_allclose(made, expected(samples, given), atol=1e-3)
        times = [one.mouth.timestamp_us for one in answers[1:]]
        assert times == [40_000 * index for index in indices]
        assert not any(one.mouth.late for one in answers[1:])
    assert max(count for _, count in served.triton.calls) <= 5


async def test_mouths_come_while_the_client_still_speaks(served: Served) -> None:
    call = opened(served.channel)
    await call.write(start("tenant_1", still=True, sample_rate=48_000, **UINT8))
    await call.write(faces(np.full((1, 3, 320, 320), 90, np.uint8)))
    assert (await call.read()).WhichOneof("part") == "started"
    got = []
    for _ in range(3):
        await call.write(sound(np.zeros(48_000, "<i2")))
        answer = await asyncio.wait_for(call.read(), 20)
        got.append(answer.mouth.index)
        assert len(answer.mouth.data) == 3 * 320 * 320
    assert got == [0, 1, 2]
    await call.done_writing()
    left = [answer.mouth.index for answer in await rest(call)]
    assert left == list(range(3, 75))


@pytest.mark.parametrize("first", [1, 17, 33])
async def test_a_client_goes_on_where_it_was(served: Served, first: int) -> None:
    samples, given = voice(), pictures(FRAMES)
    call = opened(served.channel)
    await call.write(start("tenant_1", first_frame=first, **FLOAT))
    told = (await call.read()).started
    assert (told.first_frame, told.sound_frame) == (first, max(0, (first - 10) // 5 * 5))
    parts = [sound(samples[told.sound_frame * 640 :]), faces(given[first:])]
    indices, made = mouths(await said(call, parts))
    assert indices == list(range(first, FRAMES))
    np.testing.assert_allclose(made, expected(samples, given)[first:], atol=1e-3)


async def test_fewer_frames_than_sound_end_the_stream_with_the_last_frame(served: Served) -> None:
    parts = [start("tenant_1", **FLOAT), sound(voice()), faces(pictures(11))]
    indices, _ = mouths(await said(opened(served.channel), parts))
    assert indices == list(range(11))


async def test_a_client_that_does_not_read_stops_the_work(served: Served) -> None:
    """What is made is bounded by what the client takes; after that everything comes, in order."""
    call = opened(served.channel)
    await call.write(start("tenant_1", still=True, frame_format=2, input_channels=3, **FLOAT))
    await call.write(faces(np.zeros((1, 3, 320, 320), np.uint8)))
    for second in range(4):
        await call.write(sound(voice(25, second)[:16_000]))
    await until(lambda: len(served.triton.calls) >= 2)
    await asyncio.sleep(0.5)
    made = sum(count for _, count in served.triton.calls)
    assert made < 60  # UNSENT inferences, and what gRPC keeps
    await call.done_writing()
    indices, _ = mouths((await rest(call))[1:])
    assert indices == list(range(len(indices)))
    assert len(indices) > 95


async def test_late_mouths_are_said_to_be_late_or_left_out(served: Served) -> None:
    served.triton.seconds = 0.6  # five frames in that time: slower than they are shown
    samples, given = voice(30), np.zeros((1, 3, 320, 320), np.uint8)
    values = {"still": True, "delay_ms": 1000, **UINT8, **FLOAT}
    answers = await said(
        opened(served.channel), [start("tenant_1", **values), faces(given), sound(samples)]
    )
    indices, _ = mouths(answers, "u1")
    late = [one.mouth.late for one in answers[1:]]
    assert indices == list(range(30))
    assert not late[0]
    assert all(late[25:])
    answers = await said(
        opened(served.channel),
        [start("tenant_1", drop_late=True, **values), faces(given), sound(samples)],
    )
    told: list[int] = []
    for one in answers[1:]:
        if one.WhichOneof("part") == "dropped":
            told.extend(range(one.dropped.index, one.dropped.index + one.dropped.count))
        else:
            assert not one.mouth.late
            told.append(one.mouth.index)
    assert told == list(range(30))  # each is there or said not to be
    dropped = sum(one.dropped.count for one in answers[1:])
    assert 5 < dropped < 30


BAD_STARTS = [
    ({"model_id": ""}, "model_id is required"),
    ({"sample_rate": 7999}, "sample rate"),
    ({"sample_format": 2}, "sample format"),
    ({"frame_format": 9}, "frame format"),
    ({"output_format": 3}, "output format"),
    ({"input_channels": 4}, "input channels"),
    ({"first_frame": -1}, "first frame"),
    ({"delay_ms": -1}, "delay"),
    ({"drop_late": True}, "delay_ms"),
]


async def test_what_is_wrong_is_a_status(served: Served) -> None:
    kinds = messages(1)
    good = start("tenant_1", **FLOAT)
    for values, words in BAD_STARTS:
        error = await refused(opened(served.channel), [start(**{"tenant": "tenant_1", **values})]
                              if "model_id" not in values else [start("")])  # fmt: skip
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, values
        assert words in str(error.details()), values
    for parts, words in (
        ([sound(voice())], "must be the start"),
        ([kinds.StreamRequest()], "neither"),
        ([good, good], "Only the first"),
        ([good, sound(b"abc")], "Invalid sound: 3 bytes"),
        ([good, sound(np.array([np.nan], "<f4"))], "finite"),
        ([good, sound(bytes(2**22 + 4))], "bytes of sound"),
        ([good, faces(b"12")], "Invalid frames size: got 2 bytes"),
        ([good, faces(b"")], "Invalid frames size"),
    ):
        error = await refused(opened(served.channel), parts)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, words
        assert words in str(error.details())
    raw = served.channel.stream_stream(f"/{SERVICE}/InferStream")
    error = await refused(raw(), [b"\xff\xff\xff"])
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT, "The message is malformed",
    )  # fmt: skip
    some = [sound(voice()), faces(pictures(2))]
    error = await refused(opened(served.channel), [start("nobody", **FLOAT), *some])
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert served.triton.calls == []


async def test_without_an_encoder_there_are_no_streams(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        error = await refused(opened(running.channel), [start("tenant_1")])
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "encoder" in str(error.details())


async def test_streams_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_buffer, "MOST_SECONDS", 1.0)
    error = await refused(opened(served.channel), [start("tenant_1", **FLOAT), sound(voice(60))])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Sound runs ahead" in str(error.details())
    monkeypatch.setattr(stream_buffer, "MOST_BYTES", 10**6)
    error = await refused(opened(served.channel), [start("tenant_1", **FLOAT), faces(pictures(3))])
    assert "Frames run ahead" in str(error.details())
    monkeypatch.setattr(stream_buffer, "ALL_BYTES", 10**6)
    error = await refused(opened(served.channel), [start("tenant_1", **FLOAT), faces(pictures(3))])
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(error.trailing_metadata() or ())
    assert int(trailers["retry-after"]) >= 1


async def test_a_client_that_leaves_ends_everything(served: Served) -> None:
    triton = served.triton
    assert isinstance(triton, LipsyncTriton)
    triton.gate.clear()
    call = opened(served.channel)
    await call.write(start("tenant_1", still=True, **UINT8))
    await call.write(faces(np.zeros((1, 3, 320, 320), np.uint8)))
    await call.write(sound(np.zeros(32_000, "<i2")))
    await until(lambda: triton.running.get("tenant_1", 0) == 1)
    call.cancel()
    await until(lambda: triton.cancelled == 1)
    monitor = served.gateway.context.monitor
    await until(lambda: monitor.services()[0].admission.in_flight == 0)


async def test_a_silent_client_is_let_go(tmp_path: Path) -> None:
    lipsync = {"audio_encoder": str(tmp_path / "encoder.onnx")}
    async with serving(tmp_path, lipsync=lipsync, server={"message_seconds": 0.3}) as running:
        call = opened(running.channel)
        await call.write(start("tenant_1"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rest(call)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_frames_carry_when_they_are_due(served: Served) -> None:
    given = np.zeros((1, 3, 320, 320), np.uint8)
    values = {"still": True, "delay_ms": 60_000, **UINT8, **FLOAT}
    parts = [start("tenant_1", **values), faces(given), sound(voice(10))]
    await said(opened(served.channel), parts)
    assert len(served.triton.due) == 2
    (first, spacing), (second, _) = served.triton.due
    assert spacing == 40
    assert 55_000 < first < 60_040
    assert abs(second - first) < 5_000
    client = served.client(1)
    request = client.messages.InferBatchRequest(
        model_id="tenant_1", batch_size=1, visual_frames=given.tobytes(), frame_format=2,
        input_channels=3, audio_features=bytes(32_768),
    )  # fmt: skip
    assert (await client.InferBatch(request)).success
    assert len(served.triton.due) == 2  # a client without a deadline
    assert (await client.InferBatch(request, timeout=50)).success
    (soon, spacing) = served.triton.due[-1]
    assert (30_000 < soon < 51_000, spacing) == (True, 0)


async def test_a_stream_that_would_make_others_late_is_refused(tmp_path: Path) -> None:
    lipsync = {"audio_encoder": str(tmp_path / "encoder.onnx")}
    triton = LipsyncTriton(frames_per_second=60.0)
    health = {"canary_interval_seconds": 0.2}
    async with serving(tmp_path, triton, lipsync=lipsync, health=health) as running:
        service = running.gateway.listeners.services["lipsync"]
        await until(lambda: service.figures().frames_per_second == 60)
        held = []
        for _ in range(2):  # 50 of the 57 frames a second that streams may have
            call = opened(running.channel)
            await call.write(start("tenant_1", delay_ms=500))
            assert (await call.read()).WhichOneof("part") == "started"
            held.append(call)
        error = await refused(opened(running.channel), [start("tenant_1", delay_ms=500)])
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(error.trailing_metadata() or ())
        assert int(trailers["retry-after"]) >= 1
        assert "grpc-retry-pushback-ms" in trailers
        # One that is never late needs no capacity, and one that ends makes room.
        answers = await said(opened(running.channel), [start("tenant_1")])
        assert [one.WhichOneof("part") for one in answers] == ["started"]
        await held.pop().done_writing()
        await until(lambda: running.server.streams.open == 1)
        answers = await said(opened(running.channel), [start("tenant_1", delay_ms=500)])
        assert [one.WhichOneof("part") for one in answers] == ["started"]
        triton.frames_per_second = 10.0  # the machine has slowed down
        await until(lambda: service.figures().frames_per_second == 10)
        error = await refused(opened(running.channel), [start("tenant_1", delay_ms=500)])
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        held.pop().cancel()
        await until(lambda: running.server.streams.open == 0)
        answers = await said(opened(running.channel), [start("tenant_1", delay_ms=500)])
        assert len(answers) == 1  # nobody else is made late


@pytest.fixture
async def two_streams(
    tmp_path: Path, made: float
) -> AsyncIterator[tuple[LipsyncTriton, list[Any]]]:
    """Begun with a still face, where the devices make so many frames a second."""
    lipsync = {"audio_encoder": str(tmp_path / "encoder.onnx")}
    triton = LipsyncTriton(frames_per_second=made)
    health = {"canary_interval_seconds": 0.2}
    async with serving(tmp_path, triton, lipsync=lipsync, health=health) as running:
        service = running.gateway.listeners.services["lipsync"]
        await until(lambda: service.figures().frames_per_second == made)
        calls = []
        for tenant in ("tenant_1", "tenant_2"):
            call = opened(running.channel)
            await call.write(start(tenant, still=True, delay_ms=60_000, **UINT8))
            await call.write(faces(np.zeros((1, 3, 320, 320), np.uint8)))
            assert (await call.read()).WhichOneof("part") == "started"
            calls.append(call)
        yield triton, calls


@pytest.mark.parametrize("made", [1e6])
async def test_where_there_is_room_a_mouth_is_made_at_once(
    two_streams: tuple[LipsyncTriton, list[Any]],
) -> None:
    heard, (_, (call, _)) = SoundStream(), two_streams
    shown = 0
    for _ in range(30):
        await call.write(sound(np.zeros(640, "<i2")))
        heard.add(np.zeros(640, np.float32))
        while shown < heard.within_reach():
            answer = await asyncio.wait_for(call.read(), 20)
            assert (answer.mouth.index, answer.mouth.late) == (shown, False)
            shown += 1
    assert shown > 15


@pytest.mark.parametrize("made", [55.0])
async def test_where_many_are_open_mouths_are_made_together(
    two_streams: tuple[LipsyncTriton, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "GATHERING", 60)
    triton, calls = two_streams
    for _ in range(50):
        for call in calls:
            await call.write(sound(np.zeros(640, "<i2")))
        await asyncio.sleep(0.005)
    for call in calls:
        await call.done_writing()
        answers = await rest(call)
        assert [answer.mouth.index for answer in answers] == list(range(50))
        assert not any(answer.mouth.late for answer in answers)
    for tenant in ("tenant_1", "tenant_2"):
        sizes = [count for name, count in triton.calls if name == tenant]
        # The first does not know yet what one costs, the last wait for nothing.
        assert set(sizes[1:-3]) == {stream.MOST_FRAMES}
