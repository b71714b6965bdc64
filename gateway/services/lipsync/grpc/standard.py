"""gRPC's own services: health (grpc.health.v1), which follows the lip-sync service, and reflection.

Reflection has two names: v1alpha, which grpcio has, and v1, which clients ask first. They differ in
their package alone; messages are the same bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

POLL_SECONDS = 0.5
NAME = "inference.InferenceService"
HEALTH = health.SERVICE_NAME
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthService:
    """Check and Watch, for the server as a whole and the lip-sync service by its name.

    Args:
        serving: whether the service can answer now.
    """

    def __init__(self, serving: Callable[[], bool]) -> None:
        self._serving = serving
        self._servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._task: asyncio.Task[None] | None = None

    async def start(self, server: grpc.aio.Server) -> None:
        """Add the service to a server and begin to follow the state."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        await self._tell(_SERVING if self._serving() else _NOT_SERVING)
        self._task = asyncio.create_task(self._follow(), name="grpc-health")

    async def stop(self) -> None:
        """Report NOT_SERVING from now on, so that balancers send nothing more."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._servicer.enter_graceful_shutdown()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._tell(_SERVING if self._serving() else _NOT_SERVING)

    async def _tell(self, status: int) -> None:
        for name in ("", NAME):
            await self._servicer.set(name, status)


V1ALPHA = reflection.SERVICE_NAME
_V1_PACKAGE = "grpc.reflection.v1"
_V1_FILE = "grpc/reflection/v1/reflection.proto"
V1 = f"{_V1_PACKAGE}.ServerReflection"
_METHOD = "ServerReflectionInfo"


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let a server tell about services, by their full names, and about reflection itself."""
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer((*services, V1ALPHA, V1))  # type: ignore[attr-defined]
    add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler(V1, {_METHOD: handler})
    server.add_generic_rpc_handlers((handlers,))


def _describe_v1() -> None:
    """Put v1's description, made of v1alpha's, where the servicer looks for it."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_V1_FILE)
    except KeyError:
        old = reflection_pb2.DESCRIPTOR
        file = descriptor_pb2.FileDescriptorProto.FromString(old.serialized_pb)
        _rename(file, f".{old.package}.", f".{_V1_PACKAGE}.")
        file.name, file.package = _V1_FILE, _V1_PACKAGE
        pool.AddSerializedFile(file.SerializeToString())


def _rename(file: descriptor_pb2.FileDescriptorProto, old: str, new: str) -> None:
    for message in file.message_type:
        for field in filter(lambda field: field.type_name, message.field):  # scalars have none
            field.type_name = field.type_name.replace(old, new)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(old, new)
            method.output_type = method.output_type.replace(old, new)
