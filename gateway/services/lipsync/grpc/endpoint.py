"""What surrounds every RPC: key, request id, trace span, metrics, log, and errors as gRPC statuses.

Every RPC is served as one that streams its request. On the wire that is the same, but here the
message is read only when the work asks for it: after the key was checked, and after a slot came
free, so waiting calls hold no 61 MB (see the intake).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc.aio import ServicerContext

from gateway.context import Context
from gateway.errors import (
    BadRequestError,
    BodyTooLargeError,
    BusyError,
    DeadlineError,
    ForbiddenError,
    GatewayError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from gateway.security import presented_keys
from gateway.services.lipsync.grpc.drain import Drain
from gateway.services.lipsync.grpc.wire import MalformedError
from gateway.services.lipsync.tenants.catalogue import UnknownTenantError
from gateway.services.lipsync.tenants.device import TenantLoadError
from gateway.telemetry.log import request_id, where

SERVICE = "lipsync"
METHOD = "gRPC"  # in metrics and logs, where others have GET or POST
log = logging.getLogger(__name__)
access = logging.getLogger("gateway.access")

_STATUS: tuple[tuple[type[GatewayError], grpc.StatusCode], ...] = (
    (UnauthorizedError, grpc.StatusCode.UNAUTHENTICATED),
    (ForbiddenError, grpc.StatusCode.PERMISSION_DENIED),
    (RateLimitedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (BusyError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (BodyTooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (BadRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    # What InferBatch has in its answers, InferStream ends with.
    (UnknownTenantError, grpc.StatusCode.NOT_FOUND),
    (TenantLoadError, grpc.StatusCode.FAILED_PRECONDITION),
    (RefusedError, grpc.StatusCode.FAILED_PRECONDITION),
)
CLIENT_GONE = 499


class NotLoadedStatusError(GatewayError):
    """The one business error that the documented interface has as a status (UNKNOWN)."""

    status, reason = 404, "tenant_not_loaded"


@dataclass(frozen=True)
class Reply:
    """What an RPC answers.

    Attributes:
        message: serialised.
        detail: error in the message, for the dashboard's list of recent ones.
    """

    message: bytes
    status: int = 200
    detail: str | None = None


class Call:
    """One call as the work sees it."""

    def __init__(
        self,
        context: ServicerContext[Any, Any],
        longest: float,
        patience: float,
    ) -> None:
        """``longest`` are seconds for all of it, ``patience`` those for its message alone."""
        self._context = context
        self._longest = longest
        self._patience = patience
        self._begin = time.monotonic()

    async def read(self) -> bytes:
        """Receive the request's message.

        Raises:
            BadRequestError: the client sent none.
            DeadlineError: not in time.
        """
        reading = self.reading()
        try:
            seconds = min(self._patience, self.time_left())
            done, _ = await asyncio.wait({reading}, timeout=seconds)
        finally:
            reading.cancel()
        if not done:
            raise DeadlineError
        return reading.result()

    async def next(self, patience: float) -> bytes | None:
        """Receive a further message of a client that streams; None: it has said all.

        Raises:
            DeadlineError: it does not come in so many seconds.
        """
        reading = asyncio.ensure_future(self._context.read())
        try:
            done, _ = await asyncio.wait({reading}, timeout=min(patience, self.time_left()))
        finally:
            reading.cancel()
        if not done:
            raise DeadlineError("The next message did not arrive in time")
        message = reading.result()
        return message if isinstance(message, bytes) else None

    async def send(self, message: bytes) -> None:
        """Send a message of a stream; waits while the client does not read."""
        await self._context.write(message)

    def reading(self) -> asyncio.Task[bytes]:
        """Begin to receive the request's message; the task raises as :meth:`read`, in no time."""
        task = asyncio.create_task(self._first())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    def time_left(self) -> float:
        """Return the seconds left of the client's deadline and of the server's own."""
        own = self._begin + self._longest - time.monotonic()
        seconds: float | None = self._context.time_remaining()
        return own if seconds is None else min(seconds, own)

    def deadline(self) -> float | None:
        """Return the client's own deadline by the monotonic clock; None where it has set none."""
        left: float | None = self._context.time_remaining()
        return None if left is None else time.monotonic() + left

    async def _first(self) -> bytes:
        # Not the iterator: its generator stays unfinished, in a cycle that keeps the message alive.
        message = await self._context.read()
        if isinstance(message, bytes):  # else the end of the stream
            return message
        raise BadRequestError("The request has no message")


Work = Callable[[Call], Awaitable[Reply]]


@dataclass(eq=False)
class Endpoint:
    """One RPC.

    Attributes:
        drain: of the server; it knows every call under way.
        service: whose key it needs, by its name in keys; None: none, as clients ask for the
            server's health before they have one.
        longest: seconds for a call; None: `deadline_seconds`.
    """

    context: Context
    name: str
    work: Work
    drain: Drain
    service: str | None = SERVICE
    longest: float | None = None

    async def serve(
        self, messages: AsyncIterator[bytes], context: ServicerContext[Any, Any]
    ) -> bytes:
        """Serve one call; gRPC's handler."""
        metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        sent = str(metadata.get("x-request-id", ""))
        token = request_id.set(sent if 0 < len(sent) <= 128 else uuid.uuid4().hex)
        begin = time.perf_counter()
        reply, failed, key = Reply(b"", CLIENT_GONE), None, None
        try:
            with self.context.tracing.request(self.name, metadata):
                self.drain.enter(context)
                key = self._authorize(metadata)
                server = self.context.settings.lipsync.server
                longest = self.longest or server.deadline_seconds
                call = Call(context, longest, server.message_seconds)
                reply = await self.work(call)
        except GatewayError as error:
            reply, failed = Reply(b"", error.status, str(error.detail)), error
        except MalformedError as error:
            failed = BadRequestError(f"The request is malformed: {error}")
            reply = Reply(b"", failed.status, str(failed.detail))
        except Exception as error:
            log.error("unhandled error", extra=where(error))
            failed = GatewayError()
            reply = Reply(b"", failed.status, str(failed.detail))
        finally:
            self._record(reply, time.perf_counter() - begin, key)
            request_id.reset(token)
        if failed:
            await _abort(context, failed)
        return reply.message

    def _authorize(self, metadata: dict[str, Any]) -> str | None:
        if self.service is None:
            return None
        try:
            return self.context.keys.authorize(self.service, *presented_keys(metadata.get))
        except GatewayError as error:
            self.context.metrics.rejected.labels(SERVICE, error.reason).inc()
            raise

    def _record(self, reply: Reply, seconds: float, key: str | None) -> None:
        shared = self.context
        shared.metrics.answered(SERVICE, self.name, METHOD, reply.status, seconds)
        shared.activity.answered(SERVICE, self.name, reply.status, seconds, reply.detail)
        if shared.settings.telemetry.access_log:
            fields = {
                "service": SERVICE,
                "method": METHOD,
                "route": self.name,
                "status": reply.status,
                "ms": round(seconds * 1000, 2),
            }
            if key:
                fields["key"] = key
            access.log(logging.DEBUG if self.name == "Health" else logging.INFO, "request",
                       extra=fields)  # fmt: skip


async def _abort(context: ServicerContext[Any, Any], error: GatewayError) -> None:
    """End the call with the status of an error, and when to come back.

    `retry-after` is seconds, as in HTTP; gRPC's own retry policies read the other.
    """
    code = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
    if isinstance(error, NotLoadedStatusError):
        code = grpc.StatusCode.UNKNOWN
    trailers: tuple[tuple[str, str], ...] = ()
    if error.retry_after is not None:
        trailers = (
            ("retry-after", str(error.retry_after)),
            ("grpc-retry-pushback-ms", str(error.retry_after * 1000)),
        )
    await context.abort(code or grpc.StatusCode.INTERNAL, str(error.detail), trailers)
