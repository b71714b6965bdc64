"""What browsers are told about the pages of this server: where everything in them comes from."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_PAGES = ("/docs", "/docs/oauth2-redirect", "/redoc")
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_WORKERS = "worker-src 'self' blob:"  # ReDoc searches in one that it makes itself


def page_headers(extra: str = "") -> dict[str, str]:
    """Return the headers of a page; ``extra`` are further directives of its policy."""
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": f"{_POLICY}; {extra}" if extra else _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def protect_documentation(app: FastAPI) -> None:
    """Give an application's pages of API documentation the headers of the other pages."""
    for route in app.routes:
        if isinstance(route, Route) and route.path in _PAGES:
            route.app = _Page(route.app)


class _Page:
    """A page whose own inline scripts, told by their hashes, are the only ones that run."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        start: Message = {}
        body = b""

        async def with_policy(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            raw = [
                (name.lower().encode(), value.encode())
                for name, value in own_scripts(body, _WORKERS).items()
            ]
            await send({**start, "headers": [*start["headers"], *raw]})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, with_policy)


def own_scripts(page: bytes, extra: str = "") -> dict[str, str]:
    """Return the headers of an HTML page whose own inline scripts, by hash, may run.

    Args:
        page: the bytes of the page.
        extra: further directives of its policy.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE.findall(page)
    ]
    scripts = " ".join(["script-src 'self'", *hashes])
    return page_headers(f"{scripts}; {extra}" if extra else scripts)
