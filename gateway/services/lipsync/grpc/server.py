"""The gRPC listener of the lip-sync service."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from gateway.context import Context
from gateway.lifecycle import Background, Lifecycle
from gateway.services.lipsync.grpc.control import Control
from gateway.services.lipsync.grpc.credentials import credentials
from gateway.services.lipsync.grpc.drain import Drain
from gateway.services.lipsync.grpc.endpoint import SERVICE, Call, Endpoint, Reply
from gateway.services.lipsync.grpc.health import HEALTH, NAME, HealthService
from gateway.services.lipsync.grpc.inference import InferBatch
from gateway.services.lipsync.grpc.intake import Intake
from gateway.services.lipsync.grpc.options import server_options
from gateway.services.lipsync.grpc.reflection import add_reflection
from gateway.services.lipsync.grpc.stream import InferStream
from gateway.services.lipsync.grpc.stream_capacity import StreamCapacity
from gateway.services.lipsync.service import LipsyncService
from gateway.settings.keys import CONTROL
from gateway.sockets import is_held

log = logging.getLogger(__name__)


class GrpcServer(Background):
    """`inference.InferenceService`, its reflection and its health, on one port.

    Args:
        context: what all services share.
        lifecycle: whether work is still taken.
    """

    def __init__(self, context: Context, lifecycle: Lifecycle, service: LipsyncService) -> None:
        self._context = context
        self._lifecycle = lifecycle
        self._service = service
        self._settings = context.settings.lipsync.server
        self._server: grpc.aio.Server | None = None
        self._health = HealthService(self._serving)
        self._drain = Drain()
        self.streams = StreamCapacity(
            service.frames_per_second,
            self._settings.stream_share,
            lambda: context.metrics.rejected.labels(SERVICE, "stream_capacity").inc(),
        )
        self.port = 0

    async def start(self) -> None:
        """Listen on ``server.host`` and ``lipsync.server.port``; call it in the running loop.

        Raises:
            OSError: the port is taken or not permitted.
            ValueError: a certificate cannot be read.
        """
        host, settings = self._context.settings.server.host, self._settings
        head_seconds = self._context.settings.server.connections.head_seconds
        options = server_options(
            settings,
            self._lifecycle.connections,
            head_seconds,
            held=is_held(settings.port, os.environ),
        )
        server = grpc.aio.server(options=options)
        handlers = grpc.method_handlers_generic_handler(NAME, self._handlers())
        server.add_generic_rpc_handlers((handlers,))
        if settings.reflection:
            add_reflection(server, (NAME, HEALTH))
        address = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
        secret = credentials(settings.tls)
        try:
            if secret:
                self.port = server.add_secure_port(address, secret)
            else:
                self.port = server.add_insecure_port(address)
        except RuntimeError:
            raise OSError(f"{address}: cannot listen, the port may be taken") from None
        await self._health.start(server)
        await server.start()
        self._server = server
        log.info("grpc listening", extra={"host": host, "port": self.port, "tls": bool(secret)})

    async def drain(self, seconds: float) -> None:
        """Take no more calls, give those under way so many seconds, and close the port."""
        if self._server:
            await self._health.stop()
            await self._server.stop(await self._drain.finish(seconds))

    def _serving(self) -> bool:
        ready = self._context.monitor.service_state(SERVICE) == "ready"
        return ready and not self._lifecycle.draining

    def _handlers(self) -> dict[str, Any]:
        settings = self._context.settings.lipsync
        control = Control(self._service.pool, settings.capacity)
        changing = CONTROL if settings.separate_control_key else SERVICE
        return {
            "InferBatch": self._handler("InferBatch", self._infer_batch()),
            "InferStream": grpc.stream_stream_rpc_method_handler(self._infer_stream().serve),
            "ListModels": self._handler("ListModels", control.list_models),
            "LoadModel": self._handler("LoadModel", control.load_model, changing),
            "UnloadModel": self._handler("UnloadModel", control.unload_model, changing),
            "GetModelStats": self._handler("GetModelStats", control.get_model_stats),
            "Health": self._handler("Health", control.health, None),
        }

    def _handler(
        self,
        name: str,
        work: Callable[[Call], Awaitable[Reply]],
        service: str | None = SERVICE,
    ) -> Any:
        endpoint = Endpoint(self._context, name, work, self._drain, service)
        return grpc.stream_unary_rpc_method_handler(endpoint.serve)

    def _infer_stream(self) -> Endpoint:
        service, settings = self._service, self._settings
        work = InferStream(
            service.inference,
            service.audio,
            service.admission,
            self.streams,
            settings.message_seconds,
        )
        longest = settings.stream_seconds
        return Endpoint(self._context, "InferStream", work, self._drain, SERVICE, longest)

    def _infer_batch(self) -> InferBatch:
        settings = self._settings
        return InferBatch(
            self._service.inference,
            self._service.audio,
            Intake(self._service.admission, settings.message_seconds),
            settings.max_message_size_mb << 20,
        )
