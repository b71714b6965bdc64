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
from gateway.services.lipsync.grpc.inference import InferBatch
from gateway.services.lipsync.grpc.intake import Intake
from gateway.services.lipsync.grpc.standard import HEALTH, NAME, HealthService, add_reflection
from gateway.services.lipsync.grpc.stream import InferStream
from gateway.services.lipsync.grpc.stream_capacity import StreamCapacity, StreamCollector
from gateway.services.lipsync.service import LipsyncService
from gateway.settings.keys import CONTROL
from gateway.settings.lipsync import LipsyncServerSettings
from gateway.sockets import is_held

Option = tuple[str, int]
METADATA_BYTES = 16 * 2**10
"""Metadata of a client; beyond it the call ends with RESOURCE_EXHAUSTED."""
_OWN_METADATA_BYTES = 2 * 2**10  # what gRPC adds: path, user agent, encodings
_STREAMS = 256  # calls of one connection at once; clients keep further ones back
_AGE_SECONDS = 3600  # of a connection, which its client then makes anew
_IDLE_SECONDS = 600  # without a call
log = logging.getLogger(__name__)


def server_options(
    settings: LipsyncServerSettings, connections: int, head_seconds: float, *, held: bool = False
) -> list[Option]:
    """Return the channel arguments of the server (names: grpc/impl/channel_arg_names.h).

    Args:
        settings: of the listener.
        connections: open at once; further ones are closed as soon as they are accepted.
        head_seconds: for a connection to say that it speaks HTTP/2; until then it counts, too.
        held: whether the launcher holds the port, which is shared with it then.
    """
    limit = settings.max_message_size_mb << 20
    return [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", limit),
        ("grpc.keepalive_time_ms", round(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            round(settings.min_ping_interval_seconds * 1000),
        ),
        # By default gRPC refuses what is over 8 KiB at random, and what is over 16 KiB always.
        ("grpc.max_metadata_size", METADATA_BYTES + _OWN_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES + _OWN_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", round(head_seconds * 1000)),
        ("grpc.max_connection_idle_ms", _IDLE_SECONDS * 1000),
        ("grpc.max_connection_age_ms", _AGE_SECONDS * 1000),
        # Streams that nobody ends, such as those of reflection, end with their connection.
        ("grpc.max_connection_age_grace_ms", round(settings.deadline_seconds * 1000)),
        # A port that another server has is an error, not a second server on it.
        ("grpc.so_reuseport", int(held)),
    ]


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
            service.figures,
            self._settings.stream_share,
            lambda: context.metrics.rejected.labels(SERVICE, "stream_capacity").inc(),
        )
        context.metrics.add(StreamCollector(self.streams))
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
