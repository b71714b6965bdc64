"""Authentication of one service, before routing: unknown paths and the docs need a key too."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import GatewayError, Render, error_response
from gateway.middleware.target import LAST_SLASH
from gateway.security import KeyRing
from gateway.telemetry.metrics import Metrics

BEARER = "bearer "


class Authentication:
    """Checks the service's documented key header, or ``Authorization: Bearer``.

    Args:
        app: what is protected.
        keys: the keys in force.
        service: whose keys count.
        header: the service's documented header.
        open_paths: paths, relative to the service's root, that need no key, exactly so: with a
            slash at the end they do. One that ends with ``/*`` stands for all below it.
        metrics: counts refusals.
        render: shapes the error body.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyRing,
        service: str,
        header: str,
        open_paths: Collection[str],
        metrics: Metrics,
        render: Render = error_response,
    ) -> None:
        self._app = app
        self._keys = keys
        self._service = service
        self._header = header
        self._open_paths = frozenset(open_paths)
        self._open_folders = tuple(path[:-1] for path in open_paths if path.endswith("/*"))
        self._metrics = metrics
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            scope["pentad.service"] = self._service
            if scope.get(LAST_SLASH) or not self._is_open(route_path(scope)):
                headers = Headers(scope=scope)
                try:
                    presented = presented_key(headers, self._header)
                    name = self._keys.authorize(self._service, presented)
                except GatewayError as error:
                    self._metrics.rejected.labels(self._service, error.reason).inc()
                    scope["pentad.detail"] = error.detail
                    await self._render(error)(scope, receive, send)
                    return
                scope["pentad.key"] = name
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_folders)


def presented_key(headers: Headers, header: str = "x-api-key") -> str | None:
    """Return the key in ``header`` or in ``Authorization: Bearer``, None without one."""
    if key := headers.get(header):
        return key
    value = headers.get("authorization", "")
    return value[len(BEARER) :].strip() if value.lower().startswith(BEARER) else None


def route_path(scope: Scope) -> str:
    """Return the path below the mount point, as routing sees it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root) else path
