"""Request id, access log, metrics and trace span of every request."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from dataclasses import dataclass

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ClientGoneError, GatewayError, UnavailableError, error_response
from gateway.telemetry.activity import Activity
from gateway.telemetry.log import request_id, where
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing

log = logging.getLogger("gateway.access")
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_HEADER = b"x-request-id"
_PROBES = ("/healthz", "/readyz", "/metrics")  # asked for all the time: logged at DEBUG


@dataclass(eq=False)
class RequestContext:
    """Outermost layer of a listener; also the last net for errors nobody handled."""

    app: ASGIApp
    metrics: Metrics
    activity: Activity
    tracing: Tracing
    access_log: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        sent = Headers(scope=scope).get("x-request-id", "")
        identifier = sent if _SANE_ID.match(sent) else secrets.token_hex(16)
        token = request_id.set(identifier)
        status = 0
        header = (_HEADER, identifier.encode())

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            with self.tracing.request(scope["method"], Headers(scope=scope)) as span:
                await self.app(scope, receive, send_with_id)
                if span.is_recording():
                    span.set_attribute("http.response.status_code", status)
                    span.set_attribute("pentad.request_id", identifier)
        except ClientDisconnect:  # while its body was read; nobody's fault here
            scope["pentad.status"] = ClientGoneError.status
        except asyncio.CancelledError:  # the gateway stops, and the time for draining is over
            if not status:
                stopping = UnavailableError("The server is shutting down", retry_after=1)
                await error_response(stopping)(scope, receive, send_with_id)
            raise
        except Exception as error:  # one request's bug must not end the connection silently
            log.error("unhandled error", extra=where(error))
            if not status:
                await error_response(GatewayError())(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - begin)
            request_id.reset(token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        service = scope.get("pentad.service", "gateway")
        matched = scope.get("route")
        route = matched.path if isinstance(matched, Route | APIRoute) else "unmatched"
        status = scope.get("pentad.status", status)
        self.metrics.answered(service, route, scope["method"], status, seconds)
        if scope["method"] == "POST":  # all inference is; the rest would blur its latencies
            self.activity.answered(service, route, status, seconds, scope.get("pentad.detail"))
        if self.access_log:
            fields = {
                "service": service,
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 2),
            }
            if key := scope.get("pentad.key"):
                fields["key"] = key
            log.log(logging.DEBUG if route in _PROBES else logging.INFO, "request", extra=fields)
