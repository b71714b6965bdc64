"""The end of an idle connection to Triton is noticed when it happens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient
from tests.support.waiting import until


class Live(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    async def ServerLive(self, request: Any, context: Any) -> Any:
        return pb.ServerLiveResponse(live=True)


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
