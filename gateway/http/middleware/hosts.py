"""Refuses unknown `Host`s where no key is needed."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Render, error_response
from gateway.security import KeyRing
from gateway.security.hosts import KnownHosts, MisdirectedError
from gateway.telemetry.metrics import Metrics

PROBES = ("/healthz", "/livez", "/readyz", "/metrics")
"""Answered under any name, as orchestrators and scrapers use one of their own; nothing personal."""


@dataclass(eq=False)
class HostCheck:
    """Answers 421 to a `Host` that is not known, unless the service needs a key.

    A request without one passes: no browser sends it.
    """

    app: ASGIApp
    hosts: KnownHosts
    keys: KeyRing
    service: str
    metrics: Metrics
    render: Render = error_response

    def __post_init__(self) -> None:
        self._open = self.keys.is_open(self.service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if not self._open or scope["type"] != "http" or self._is_known(scope):
            await self.app(scope, receive, send)
            return
        error = MisdirectedError()
        scope["pentad.service"], scope["pentad.detail"] = self.service, error.detail
        self.metrics.rejected.labels(self.service, error.reason).inc()
        await self.render(error)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        known = all(value.decode("latin-1") in self.hosts for value in hosts)
        return known or scope["path"] in PROBES
