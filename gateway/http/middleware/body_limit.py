"""Body size limit: by Content-Length before reading, by counting while reading."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BodyTooLargeError, Render, error_response


class BodyLimit:
    """Refuses bodies over ``limit`` bytes with 413.

    While reading, the refusal is raised out of ``receive`` as :class:`BodyTooLargeError`, which
    the application's error handler renders. What becomes of the rest of the body is the
    connection's business.
    """

    def __init__(self, app: ASGIApp, limit: int, render: Render = error_response) -> None:
        self._app = app
        self._limit = limit
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limit:
            error = self._error()
            scope["pentad.detail"] = error.detail
            await self._render(error)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
                    raise self._error()
            return message

        await self._app(scope, counted, send)

    def _error(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"Request body too large: the limit is {self._limit} bytes")
