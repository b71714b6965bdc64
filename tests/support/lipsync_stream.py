"""A client of InferStream, with the messages that protoc makes of the interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
import numpy as np

from tests.support.lipsync_protos import SERVICE, messages


def opened(channel: grpc.aio.Channel, **options: Any) -> Any:
    """A call that was not yet said anything on."""
    kinds = messages(1)
    method = channel.stream_stream(
        f"/{SERVICE}/InferStream",
        kinds.StreamRequest.SerializeToString,
        kinds.StreamResponse.FromString,
    )
    return method(**options)


def start(tenant: str, **values: Any) -> Any:
    kinds = messages(1)
    return kinds.StreamRequest(start=kinds.StreamStart(model_id=tenant, **values))


def sound(samples: np.ndarray | bytes) -> Any:
    kinds = messages(1)
    data = samples if isinstance(samples, bytes) else samples.tobytes()
    return kinds.StreamRequest(sound=kinds.StreamSound(samples=data))


def faces(frames: np.ndarray | bytes) -> Any:
    kinds = messages(1)
    data = frames if isinstance(frames, bytes) else frames.tobytes()
    return kinds.StreamRequest(frames=kinds.StreamFrames(data=data))


async def said(call: Any, parts: Iterable[Any]) -> list[Any]:
    """Say all that, and return all answers; who only speaks is not listened to for long."""
    speaking = asyncio.ensure_future(_say(call, parts))
    try:
        return await rest(call)
    finally:
        await asyncio.wait({speaking})
        speaking.exception()  # an end before all was said is the answers' to tell


async def _say(call: Any, parts: Iterable[Any]) -> None:
    for part in parts:
        await call.write(part)
    await call.done_writing()


async def rest(call: Any) -> list[Any]:
    """Return all further answers."""
    answers = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        answers.append(answer)
    return answers


def mouths(answers: Iterable[Any], kind: str = "<f4") -> tuple[list[int], np.ndarray]:
    """Indices and frames, [n, 3, 320, 320]."""
    made = [one.mouth for one in answers if one.WhichOneof("part") == "mouth"]
    data = [np.frombuffer(one.data, kind).reshape(3, 320, 320) for one in made]
    return [one.index for one in made], np.stack(data)
