"""Cross-origin access: the old servers' documented paths as they had it, the rest as configured."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.security.pages import Origins
from gateway.security.paths import route_path
from gateway.settings.server import CorsSettings

_PRIVATE_NETWORK = b"access-control-request-private-network"


class Cors:
    """Tells browsers whose pages may read a service's answers.

    Args:
        settings: methods, headers and times for paths that the old server did not have; on those
            that it had, a page may use any method and send any header.
        exposed: headers of answers that pages may read, beside those of ``settings``.
    """

    def __init__(
        self, app: ASGIApp, origins: Origins, settings: CorsSettings, exposed: Sequence[str] = ()
    ) -> None:
        readable = list(dict.fromkeys((*settings.expose_headers, *exposed)))

        def layer(allowed: list[str], methods: Sequence[str], headers: Sequence[str]) -> ASGIApp:
            if not allowed:
                return app
            return _Layer(
                app,
                allow_origins=allowed,
                allow_methods=methods,
                allow_headers=headers,
                allow_private_network=True,
                expose_headers=readable,
                max_age=settings.max_age_seconds,
            )

        self._origins = origins
        self._documented = layer([*origins.named, *origins.documented], ["*"], ["*"])
        self._new = layer(origins.everywhere, settings.allow_methods, settings.allow_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        http = scope["type"] == "http"
        new = http and self._origins.is_new(route_path(scope))
        await (self._new if new else self._documented)(scope, receive, send)


class _Layer(CORSMiddleware):
    """Starlette's, but to `*` a question for the private network is not answered.

    So pages from the public internet get in only where their origin is named; in a browser that
    does not ask, nothing changes.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        if self.allow_all_origins:
            raw = [item for item in request_headers.raw if item[0] != _PRIVATE_NETWORK]
            request_headers = Headers(raw=raw)
        return super().preflight_response(request_headers)
