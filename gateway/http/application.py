"""What the FastAPI application of every service has in common."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route

from gateway.errors import ClientGoneError, GatewayError, Render, error_response
from gateway.http.answers import Error
from gateway.http.declaration import DirectRoute
from gateway.http.openapi import Schema, document
from gateway.security.browser import protect_documentation

_REASONS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
DOCS_FILES = "/static-offline-docs/*"  # where fastapi-offline puts the scripts of /docs


def service_application(
    title: str,
    description: str,
    render: Render = error_response,
    version: str = "1",
    error: Any = Error,
    invalid: int = 422,
) -> FastAPI:
    """Return an application whose errors are rendered by one handler.

    Its routes are added by ``declare``. Its `/docs` and `/redoc` load nothing from other hosts.

    Args:
        title: of the API document.
        description: of the API document.
        render: makes the answers to errors.
        version: of the API document.
        error: type of their bodies.
        invalid: status that ``render`` gives a wrong body.
    """
    app = FastAPIOffline(title=title, description=description, version=version)
    protect_documentation(app)
    app.router.redirect_slashes = False
    app.router.route_class = DirectRoute
    app.state.error, app.state.invalid, app.state.door = error, invalid, None

    def openapi() -> Schema:
        app.openapi_schema = app.openapi_schema or document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

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
        if known.status == 405:  # Starlette names the methods of one route alone
            response.headers["Allow"] = ", ".join(_methods(app, request))
        return response

    async def unexpected(request: Request, error: Exception) -> Response:
        return render(GatewayError())  # raised again by Starlette; RequestContext logs it

    app.add_exception_handler(Exception, unexpected)
    app.add_exception_handler(GatewayError, gateway_error)
    app.add_exception_handler(HTTPException, http_error)
    return app


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Return the methods of all routes declared with the path that the request has."""
    routes = [route for route in app.routes if isinstance(route, Route)]
    paths = (route.path for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    path = next(paths, None)
    return sorted({name for route in routes if route.path == path for name in route.methods or ()})
