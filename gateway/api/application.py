"""What the FastAPI application of every service has in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.errors import ClientGoneError, GatewayError, Render, error_response
from gateway.security.browser import protect_documentation

_REASONS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
DOCS_FILES = "/static-offline-docs/*"  # where fastapi-offline puts the scripts of /docs


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response itself.

    FastAPI keeps documenting it, but resolves no dependencies, which it has none of.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint."""
        return self.endpoint


def service_application(
    title: str, description: str, render: Render = error_response, version: str = "1"
) -> FastAPI:
    """Return an application whose errors are rendered by one handler.

    Its `/docs` and `/redoc` load nothing from other hosts.
    """
    app = FastAPIOffline(title=title, description=description, version=version)
    protect_documentation(app)
    app.router.redirect_slashes = False
    app.router.route_class = DirectRoute

    async def gateway_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)  # noqa: S101 - for the type checker
        if isinstance(error, ClientGoneError):
            request.scope["pentad.status"] = error.status  # nobody reads it; metrics and log do
        request.scope["pentad.detail"] = error.detail
        return render(error)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
        known = GatewayError(error.detail)
        known.status = error.status_code
        known.reason = _REASONS.get(known.status, GatewayError.reason)
        response = render(known)
        response.headers.update(error.headers or {})
        return response

    async def unexpected(request: Request, error: Exception) -> Response:
        return render(GatewayError())  # raised again by Starlette; RequestContext logs it

    app.add_exception_handler(Exception, unexpected)
    app.add_exception_handler(GatewayError, gateway_error)
    app.add_exception_handler(HTTPException, http_error)
    return app
