"""Methods and paths that mean another one: HEAD is GET without a body, a last slash is none."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LAST_SLASH = "pentad.last_slash"  # in the scope of a path that had one


class LikeGet:
    """Answers HEAD wherever GET is answered, with the same status and headers.

    The answer ends with its headers, before anything is streamed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, headers_only)
        finally:  # what was found out on the way is for the log and the metrics
            scope.update({**inner, "method": "HEAD"})


class UnderRoot:
    """Serves paths below a root as well as those without it, whichever a proxy sends on.

    Args:
        root: path that the proxy serves it under, e.g. ``/galaxy/gpu``.
    """

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            path = scope["path"]
            if path != self._root and not path.startswith(f"{self._root}/"):
                path = self._root + path
            # ASGI: the path includes the root.
            scope["path"] = f"{path}/" if path == self._root else path
            scope["root_path"] = self._root
        await self._app(scope, receive, send)


class NoLastSlash:
    """Serves a path with a slash at its end as the path without; a redirect may lose a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and len(scope["path"]) > 1:
            raw = scope.get("raw_path") or scope["path"].encode()
            if raw.endswith(b"/"):  # not an escaped one: that is part of a name
                scope["path"], scope["raw_path"] = scope["path"][:-1], raw[:-1]
                scope[LAST_SLASH] = True
        await self._app(scope, receive, send)
