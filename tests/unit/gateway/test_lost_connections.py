"""Connections to Triton that end, that nobody answers on, and that take long to make."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient
from gateway.triton.status import ServerGoneError
from tests.support.waiting import PATIENCE, until


class Live(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    async def ServerLive(self, request: Any, context: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(PATIENCE)

    async def ModelStreamInfer(self, requests: Any, context: Any) -> Any:
        yield pb.ModelStreamInferResponse()
        await asyncio.sleep(PATIENCE)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(PATIENCE)


async def server(address: str) -> grpc.aio.Server:
    found = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Live(), found)
    found.add_insecure_port(address)
    await found.start()
    return found


async def test_every_end_of_a_connection_is_told(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/triton"
    client = TritonClient(TritonSettings(), address=address)
    ends = 0

    async def watch() -> None:
        nonlocal ends
        while True:
            await client.lost()
            ends += 1

    watching = asyncio.create_task(watch())
    for number in (1, 2):
        running = await server(address)
        while not await client.live():
            await asyncio.sleep(0.01)
        assert ends == number - 1
        await running.stop(None)
        await until(lambda number=number: ends == number)
    watching.cancel()
    await client.close()


async def test_hanging_up_ends_every_call(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/triton"
    running = await server(address)
    client = TritonClient(TritonSettings(), address=address)

    async def stream() -> None:
        async for _ in client.stream("model", {}, timeout=PATIENCE):
            pass

    calls = [
        asyncio.create_task(client.infer("model", {}, (), timeout=PATIENCE)),
        asyncio.create_task(client.ready_models()),
        asyncio.create_task(stream()),
    ]
    await asyncio.sleep(0.5)
    assert not any(call.done() for call in calls)
    client.hang_up()
    for call in calls:
        with pytest.raises(ServerGoneError) as caught:
            await call
        assert caught.value.ran
    assert await client.live()  # the next call is a new beginning
    await client.close()
    await running.stop(None)


async def test_a_connection_over_a_slow_link_is_made(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/triton"
    running = await server(address)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            asyncio.get_running_loop().call_later(0.3, writer.write, data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(f"{tmp_path}/triton")
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    slow = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = slow.sockets[0].getsockname()[1]
    client = TritonClient(TritonSettings(), address=f"127.0.0.1:{port}")
    assert await client.live()
    await client.close()
    slow.close()
    await running.stop(None)
