"""Authentication of one service, before routing: unknown paths and the docs need a key too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import ForbiddenError, GatewayError, Render, error_response
from gateway.http.middleware.target import LAST_SLASH
from gateway.security import KeyRing, presented_keys
from gateway.security.pages import PageGuard
from gateway.security.paths import route_path
from gateway.telemetry.metrics import Metrics


@dataclass(eq=False)
class Authentication:
    """Checks the caller's key; where none is needed, that no foreign web page calls.

    Attributes:
        open_paths: paths, relative to the service's root, that need no key, exactly so: with a
            slash at the end they do. One that ends with ``/*`` stands for the folder and all in it.
        pages: knows which web pages may call.
        render: shapes the error body.
        shared: services whose keys are as good, by path, for it and what is below it.
    """

    app: ASGIApp
    keys: KeyRing
    service: str
    header: str
    open_paths: Collection[str]
    pages: PageGuard
    metrics: Metrics
    render: Render = error_response
    shared: Mapping[str, Collection[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open_paths = frozenset(self.open_paths)
        self._open_folders = tuple(path[:-1] for path in self.open_paths if path.endswith("/*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            scope["pentad.service"] = self.service
            try:
                scope["pentad.key"] = self._admit(scope)
            except GatewayError as error:
                self.metrics.rejected.labels(self.service, error.reason).inc()
                scope["pentad.detail"] = error.detail
                await self.render(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> str | None:
        """Return the name of the caller's key, None where none was needed.

        Raises:
            GatewayError: the caller is refused.
        """
        services = self._services(scope)
        if any(map(self.keys.is_open, services)) or self._is_open(scope):
            self.pages.check(scope)
            return None
        presented = presented_keys(Headers(scope=scope).get, self.header)
        for service in services[:-1]:
            try:
                return self.keys.authorize(service, *presented)
            except ForbiddenError:
                continue
        return self.keys.authorize(services[-1], *presented)

    def _services(self, scope: Scope) -> list[str]:
        path = route_path(scope) if self.shared else ""
        more = [
            service
            for shared, services in self.shared.items()
            if path == shared or path.startswith(f"{shared}/")
            for service in services
        ]
        return list(dict.fromkeys((self.service, *more)))

    def _is_open(self, scope: Scope) -> bool:
        path = route_path(scope)
        if scope.get(LAST_SLASH):
            return f"{path}/".startswith(self._open_folders)
        return path in self._open_paths or path.startswith(self._open_folders)
