"""Puts services, middleware and ports together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from gateway.api import operations
from gateway.api.openai import openai_application, openai_error
from gateway.api.operations import operations_application
from gateway.api.text import routes as text
from gateway.api.text.service import TextService
from gateway.context import Context
from gateway.errors import Render, error_response
from gateway.lifecycle import Lifecycle
from gateway.middleware.auth import Authentication
from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.context import RequestContext

API_KEY_HEADER = "x-api-key"


@dataclass
class Listeners:
    """Applications by port."""

    main: ASGIApp
    ports: dict[int, ASGIApp] = field(default_factory=dict)


class _Assembly:
    """Collects what each service contributes to the main port and to its own."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.mounts: list[Mount] = []
        self.applications: dict[str, FastAPI] = {}
        self.urls: dict[str, list[str]] = {}
        self.ports: dict[int, ASGIApp] = {}

    def add(
        self,
        service: str,
        application: FastAPI,
        *,
        prefix: str,
        port: int | None,
        body_limit: int,
        header: str = API_KEY_HEADER,
        open_paths: Collection[str] = (),
        render: Render = error_response,
    ) -> None:
        """Protect an application and put it under its prefix and, if it has one, its port."""
        context, server = self.context, self.context.settings.server
        limited = BodyLimit(application, body_limit, render)
        stack = Authentication(
            limited, context.keys, service, header, open_paths, context.metrics, render
        )
        self.applications[prefix] = application
        self.mounts.append(Mount(prefix, stack))
        urls = self.urls.setdefault(service, [])
        urls.append(f"http://{server.host}:{server.port}{prefix}")
        if port is not None:
            self.ports[port] = self.outermost(stack)
            urls.append(f"http://{server.host}:{port}")

    def outermost(self, app: ASGIApp) -> ASGIApp:
        """Wrap a listener's application in what every request passes."""
        context = self.context
        cors = context.settings.server.cors
        if cors.allow_origins:
            app = CORSMiddleware(
                app,
                allow_origins=cors.allow_origins,
                allow_methods=cors.allow_methods,
                allow_headers=cors.allow_headers,
                expose_headers=cors.expose_headers,
                max_age=cors.max_age_seconds,
            )
        return RequestContext(
            app, context.metrics, context.tracing, context.settings.telemetry.access_log
        )


def create_listeners(context: Context, lifecycle: Lifecycle) -> Listeners:
    """Build every enabled service and return the applications of all ports."""
    assembly = _Assembly(context)
    if "text" in context.settings.services:
        _add_text(assembly)
    root = operations_application(context, lifecycle, assembly.urls, assembly.applications)
    guarded = Authentication(
        BodyLimit(root, context.settings.server.max_body_bytes),
        context.keys,
        operations.SERVICE,
        API_KEY_HEADER,
        context.settings.security.open_paths,
        context.metrics,
    )
    router = Router([*assembly.mounts, Mount("/", guarded)], redirect_slashes=False)
    return Listeners(assembly.outermost(router), assembly.ports)


def _add_text(assembly: _Assembly) -> None:
    context = assembly.context
    settings = context.settings.text
    service = TextService(context)
    context.monitor.watch(service)
    assembly.add(
        service.name,
        text.text_application(service, context),
        prefix="/text",
        port=settings.port,
        body_limit=settings.max_body_bytes,
        header=text.HEADER,
        open_paths=text.OPEN_PATHS,
    )
    assembly.add(
        service.name,
        openai_application(service),
        prefix="/v1",
        port=None,
        body_limit=settings.max_body_bytes,
        render=openai_error,
    )
