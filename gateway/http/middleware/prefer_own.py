"""A port of one service that answers the main port's other paths too."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class PreferOwn:
    """Sends what the service has a route for to the service, everything else to the main port.

    Args:
        routes: the service's routes, asked whether they match.
        main: returns the application of the main port, which is built last.
    """

    def __init__(self, routes: Router, own: ASGIApp, main: Callable[[], ASGIApp]) -> None:
        self._routes = routes
        self._own = own
        self._main = main

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        known = scope["type"] == "http" and any(
            route.matches(scope)[0] is not Match.NONE for route in self._routes.routes
        )
        await (self._own if known else self._main())(scope, receive, send)
