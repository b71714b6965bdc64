"""A Triton that lets no client use shared memory: said once, and calls go on without it.

The server is gRPC's real one; status and words are those of Triton 2.73's own front end (read from
the library in the wheel `tritonfrontend`): UNSUPPORTED, which it sends as UNIMPLEMENTED.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from gateway.errors import UnavailableError
from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient, shared_memory
from gateway.triton.shared_memory import REFUSED, Regions
from gateway.triton.status import MemoryRefusedError

MIB = 2**20
DISABLED = (
    grpc.StatusCode.UNIMPLEMENTED,
    "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
)
IN_PROCESS = (
    grpc.StatusCode.UNAVAILABLE,
    "Shared memory is not supported in this server configuration. This can occur when the frontend "
    "is started through the in-process Python bindings (tritonfrontend); start the server with the "
    "tritonserver executable to use shared memory.",
)
Refusal = tuple[grpc.StatusCode, str]


@dataclass
class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Triton's calls for shared memory."""

    refusal: Refusal | None = None
    asked: list[str] = field(default_factory=list)

    async def _answer(self, name: str, context: grpc.aio.ServicerContext) -> None:
        self.asked.append(name)
        if self.refusal:
            await context.abort(*self.refusal)

    async def SystemSharedMemoryStatus(
        self, request: pb.SystemSharedMemoryStatusRequest, context: grpc.aio.ServicerContext
    ) -> pb.SystemSharedMemoryStatusResponse:
        await self._answer("status", context)
        return pb.SystemSharedMemoryStatusResponse()

    async def SystemSharedMemoryRegister(
        self, request: pb.SystemSharedMemoryRegisterRequest, context: grpc.aio.ServicerContext
    ) -> pb.SystemSharedMemoryRegisterResponse:
        await self._answer("register", context)
        assert Path("/dev/shm", request.key.strip("/")).stat().st_size == request.byte_size
        return pb.SystemSharedMemoryRegisterResponse()

    async def SystemSharedMemoryUnregister(
        self, request: pb.SystemSharedMemoryUnregisterRequest, context: grpc.aio.ServicerContext
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        await self._answer("unregister", context)
        return pb.SystemSharedMemoryUnregisterResponse()


@dataclass
class Served:
    """The server, a client of it, and its regions."""

    server: Server
    client: TritonClient
    regions: Regions


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    running, server = grpc.aio.server(), Server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(server, running)
    url = f"unix:{tmp_path}/triton"
    running.add_insecure_port(url)
    await running.start()
    client = TritonClient(TritonSettings(url=url, start=False))
    regions = Regions(client, url, "auto", 64 * MIB)
    yield Served(server, client, regions)
    await regions.close()
    await client.close()
    await running.stop(None)


@pytest.mark.parametrize("refusal", [DISABLED, IN_PROCESS], ids=["disabled", "in process"])
async def test_a_refusal_is_known_by_its_words(served: Served, refusal: Refusal) -> None:
    served.server.refusal = refusal
    for call in (served.client.check_memory(), served.client.register_memory("x", 1)):
        with pytest.raises(MemoryRefusedError):
            await call


@pytest.mark.parametrize("refusal", [DISABLED, IN_PROCESS], ids=["disabled", "in process"])
async def test_it_is_said_once_with_the_option_and_calls_go_on(
    served: Served, refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    served.server.refusal = refusal
    for _ in range(3):
        async with served.regions.lease(MIB) as lease:
            assert lease is None
        await served.regions.look()
    assert served.server.asked.count("register") == 1, "every call would ask again"
    assert served.server.asked.count("status") == 1
    assert [one.message for one in caplog.records].count(REFUSED) == 1
    assert served.regions.warning() == REFUSED
    assert "--allow-client-shm=true" in REFUSED
    assert served.regions.total_bytes == 0


async def test_it_is_known_before_the_first_call(served: Served) -> None:
    served.server.refusal = DISABLED
    assert served.regions.warning() is None
    await served.regions.look()
    assert served.regions.warning() == REFUSED
    async with served.regions.lease(MIB) as lease:
        assert lease is None
    assert "register" not in served.server.asked


async def test_a_triton_with_the_option_is_found_again(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(shared_memory, "RETRY_SECONDS", 0.0)
    served.server.refusal = DISABLED
    await served.regions.look()
    served.server.refusal = None
    await served.regions.look()
    assert served.regions.warning() is None
    assert caplog.records[-1].message == "Triton lets clients use shared memory again"
    async with served.regions.lease(MIB) as lease:
        assert lease


async def test_a_triton_that_is_away_is_asked_again(served: Served) -> None:
    served.server.refusal = (grpc.StatusCode.UNAVAILABLE, "Server is stopping")
    for _ in range(2):
        await served.regions.look()
    assert served.server.asked.count("status") == 2
    assert served.regions.warning() is None
    with pytest.raises(UnavailableError):
        await served.client.check_memory()


async def test_nobody_is_asked_where_frames_travel_through_grpc(served: Served) -> None:
    served.server.refusal = DISABLED
    regions = Regions(served.client, "elsewhere:8001", "auto", MIB)
    await regions.look()
    assert regions.warning() is None
    assert served.server.asked == []
