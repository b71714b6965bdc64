"""Patient clients of all services at once, and what each of their calls came to."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from gateway.services.lipsync.grpc import inference_pb2
from load_tests import workload
from load_tests.client import Address, Body, Connection, TransportError, build_request, fetch
from load_tests.originals import originals
from load_tests.pictures import jpegs

PAUSE = 0.05
"""Seconds between two calls of a client; ten times that after a failure."""
OK, UNAVAILABLE, REFUSED, BROKEN, LATE = "ok", "503", "refused", "broken", "late"
RPC = "/inference.InferenceService/InferBatch"
SIDE, AUDIO_BYTES = 320, 4 * 32 * 16 * 16
_GRPC = {
    grpc.StatusCode.DEADLINE_EXCEEDED: LATE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: UNAVAILABLE,
}


@dataclass(frozen=True)
class Seen:
    """One call: whose, when by the monotonic clock, and what it came to."""

    service: str
    begin: float
    end: float
    outcome: str


@dataclass
class Mix:
    """Clients that call until they are told to stop.

    Attributes:
        deadline: seconds that a client grants a call.
        seen: all calls so far.
    """

    deadline: float
    seen: list[Seen] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    def add(self, service: str, call: Callable[[], Awaitable[str]]) -> None:
        """Start a client."""
        self._tasks.append(asyncio.create_task(self._client(service, call)))

    async def stop(self) -> None:
        """Let every client finish its call."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _client(self, service: str, call: Callable[[], Awaitable[str]]) -> None:
        while not self._stopping:
            begin = time.monotonic()
            outcome = await call()
            self.seen.append(Seen(service, begin, time.monotonic(), outcome))
            await asyncio.sleep(PAUSE if outcome == OK else 10 * PAUSE)


class HttpCall:
    """Posts bodies in turn over a connection of its own.

    Args:
        address: of the service.
        path: below it.
        bodies: what to post.
        deadline: seconds for an answer.
        first: place of the first one: clients that post the same texts in step would share them.
    """

    def __init__(
        self, address: Address, path: str, bodies: list[Body], deadline: float, first: int = 0
    ) -> None:
        self._requests = [build_request(address, "POST", path, body) for body in bodies]
        self._connection = Connection(address)
        self._deadline = deadline
        self._next = first

    async def __call__(self) -> str:
        """Post one body; returns what it came to, 200 and 202 as ``ok``."""
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        try:
            answer = await asyncio.wait_for(self._connection.request(request), self._deadline)
        except asyncio.TimeoutError:
            self._connection.close()
            return LATE
        except TransportError as error:
            return REFUSED if isinstance(error.__cause__, ConnectionRefusedError) else BROKEN
        return OK if answer.status in (200, 202) else str(answer.status)


class MouthCall:
    """Asks for one frame of a tenant by gRPC."""

    def __init__(self, address: str, tenant: str, deadline: float) -> None:
        self._call = grpc.aio.insecure_channel(address).unary_unary(RPC)
        self._deadline = deadline
        self._message = inference_pb2.InferBatchRequest(  # type: ignore[attr-defined]
            model_id=tenant, batch_size=1,
            visual_frames=bytes(SIDE * SIDE * 3), audio_features=bytes(AUDIO_BYTES),
            frame_format="UINT8", output_format="UINT8", input_channels=3,
        ).SerializeToString()  # fmt: skip

    async def __call__(self) -> str:
        """Ask once; returns what it came to."""
        try:
            answer = await self._call(self._message, timeout=self._deadline)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                told = dict(error.trailing_metadata() or ())
                return UNAVAILABLE if "retry-after" in told else REFUSED
            return _GRPC.get(error.code(), error.code().name)
        response = inference_pb2.InferBatchResponse.FromString(answer)  # type: ignore[attr-defined]
        return OK if response.success else "failed"


async def start(mix: Mix, main: Address, services: list[str], cache: Path, mouths: str) -> None:
    """Start the clients: four of text, two of vision, one of faces, stories and mouths.

    Args:
        mix: what they belong to.
        main: the gateway's main port.
        services: those that are asked.
        cache: downloads of the pictures.
        mouths: host:port of lip-sync.
    """

    def post(service: str, path: str, bodies: list[Body]) -> None:
        mix.add(service, HttpCall(main, path, bodies, mix.deadline))

    portrait = (originals(cache) / "astronaut.png").read_bytes()
    encoded = base64.b64encode(portrait).decode()
    if "text" in services:
        bodies = [Body.json({"texts": texts}) for texts in workload.embed_short(64)]
        for _ in range(4):
            post("text", "/text/embed", bodies)
    if "vision" in services:
        files = [Body.file("file", "picture.jpg", picture) for picture in jpegs(16, cache)]
        for _ in range(2):
            post("vision", "/vision/infer", files)
    if "iot" in services:
        images = [{"data": encoded}]
        post("faces", "/iot/vectorizer", [Body.json({"employee_id": "E", "images": images})])
        post("stories", "/iot/emotions", [Body.json({"event_id": "E", "images": images})])
    if "lipsync" in services:
        rows = await fetch(main, "/lipsync/tenants")
        mix.add("lip-sync", MouthCall(mouths, _first_tenant(rows.body), mix.deadline))


def _first_tenant(body: bytes) -> str:
    (first, *_) = json.loads(body)["tenants"]
    return str(first["id"])
