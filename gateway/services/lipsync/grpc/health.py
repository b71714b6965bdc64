"""gRPC's own health service (grpc.health.v1), which follows the state of the lip-sync service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

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
