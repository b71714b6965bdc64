"""Puts services, middleware and ports together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from gateway import dashboard, guide
from gateway.api.application import DOCS_FILES
from gateway.api.iot import enrollment
from gateway.api.iot import routes as iot
from gateway.api.iot.service import IotService
from gateway.api.lipsync.routes import lipsync_application
from gateway.api.lipsync.service import LipsyncService
from gateway.api.openai import openai_application, openai_error
from gateway.api.openapi import Door, merge_into
from gateway.api.operations import operations_application
from gateway.api.text import routes as text
from gateway.api.text.service import TextService
from gateway.api.vision import routes as vision
from gateway.api.vision.service import VisionService
from gateway.api.vton import routes as vton
from gateway.api.vton.service import TryonService
from gateway.context import Context
from gateway.errors import Render, error_response
from gateway.lifecycle import Lifecycle
from gateway.middleware.auth import Authentication
from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.context import RequestContext
from gateway.middleware.cors import Cors
from gateway.middleware.hosts import HostCheck
from gateway.middleware.prefer_own import PreferOwn
from gateway.middleware.target import LikeGet, NoLastSlash, UnderRoot
from gateway.middleware.unpack import Unpack
from gateway.security import KEY_HEADER
from gateway.security.hosts import KnownHosts
from gateway.security.pages import Origins, PageGuard
from gateway.settings.keys import OPERATIONS

log = logging.getLogger(__name__)


@dataclass
class Listeners:
    """Applications by port.

    Attributes:
        main: of the main port.
        ports: of the services' own.
        lipsync: the service behind the gRPC port, where it is switched on.
        tryon: the service that keeps jobs, where it is switched on.
        documented: by port, the application whose API document is that of the port.
    """

    main: ASGIApp
    ports: dict[int, ASGIApp] = field(default_factory=dict)
    lipsync: LipsyncService | None = None
    tryon: TryonService | None = None
    documented: dict[int, FastAPI] = field(default_factory=dict)


class _Assembly:
    """Collects what each service contributes to the main port and to its own."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.mounts: list[Mount] = []
        self.applications: dict[str, FastAPI] = {}
        self.urls: dict[str, list[str]] = {}
        self.ports: dict[int, ASGIApp] = {}
        self.documented: dict[int, FastAPI] = {}
        self.main: ASGIApp = Router()
        self._hosts = KnownHosts(context.settings.server)

    def add(
        self,
        service: str,
        application: FastAPI,
        *,
        prefix: str,
        port: int | None,
        body_limit: int,
        header: str = KEY_HEADER,
        open_paths: Collection[str] = (),
        render: Render = error_response,
        cors_origins: Sequence[str] = (),
        old_paths: Collection[str] = (),
        exposed_headers: Sequence[str] = (),
        own_port: Callable[[ASGIApp], ASGIApp] = lambda stack: stack,
    ) -> None:
        """Protect an application and put it under its prefix and, if it has one, its port.

        ``own_port`` makes the port's application of the protected one; the rest is explained at
        :meth:`protect`.
        """
        server = self.context.settings.server
        stack = self.protect(
            service,
            application,
            body_limit=body_limit,
            header=header,
            open_paths=open_paths,
            render=render,
            cors_origins=cors_origins,
            old_paths=old_paths,
            exposed_headers=exposed_headers,
        )
        self.applications[prefix] = application
        self.mounts.append(Mount(prefix, stack))
        urls = self.urls.setdefault(service, [])
        urls.append(f"http://{server.host}:{server.port}{prefix}")
        if port is not None:
            self.ports[port] = self.outermost(own_port(stack))
            self.documented.setdefault(port, application)
            urls.append(f"http://{server.host}:{port}")

    def protect(
        self,
        service: str,
        application: FastAPI,
        *,
        body_limit: int,
        header: str = KEY_HEADER,
        open_paths: Collection[str] = (),
        render: Render = error_response,
        cors_origins: Sequence[str] = (),
        old_paths: Collection[str] = (),
        exposed_headers: Sequence[str] = (),
    ) -> ASGIApp:
        """Return an application behind the checks of host, origin, key and size.

        ``cors_origins`` may call beside those of ``server.cors``, but ``*`` among them only
        ``old_paths``; their pages may read ``exposed_headers``.
        """
        context, cors = self.context, self.context.settings.server.cors
        names = dict.fromkeys((KEY_HEADER, header))  # in this order, each once
        closed = not context.keys.is_open(service)
        application.state.door = Door(tuple(names), open_paths, closed)
        origins = Origins(cors.allow_origins, cors_origins, frozenset(old_paths))
        guarded = Authentication(
            BodyLimit(Unpack(application, body_limit), body_limit, render),
            context.keys,
            service,
            header,
            open_paths,
            PageGuard(origins),
            context.metrics,
            render,
        )
        shared = Cors(guarded, origins, cors, exposed_headers)
        return HostCheck(shared, self._hosts, context.keys, service, context.metrics, render)

    def outermost(self, app: ASGIApp) -> ASGIApp:
        """Wrap a listener's application in what every request passes."""
        context = self.context
        return RequestContext(
            LikeGet(NoLastSlash(app)),
            context.metrics,
            context.activity,
            context.tracing,
            context.settings.telemetry.access_log,
        )


def create_listeners(context: Context, lifecycle: Lifecycle) -> Listeners:
    """Build every enabled service and return the applications of all ports."""
    assembly = _Assembly(context)
    if "text" in context.settings.services:
        _add_text(assembly)
    if "iot" in context.settings.services:
        _add_iot(assembly)
    if "vision" in context.settings.services:
        _add_vision(assembly)
    lipsync = _add_lipsync(assembly) if "lipsync" in context.settings.services else None
    tryon = _add_tryon(assembly) if "tryon" in context.settings.services else None
    root = operations_application(context, lifecycle, assembly.urls, assembly.applications)
    settings = context.settings
    guarded = assembly.protect(
        OPERATIONS,
        root,
        body_limit=settings.server.max_body_bytes,
        open_paths=(
            *settings.security.open_paths,
            *dashboard.OPEN_PATHS,
            *guide.OPEN_PATHS,
            DOCS_FILES,
        ),
    )
    assembly.main = Router(assembly.mounts, redirect_slashes=False, default=guarded)
    main = assembly.outermost(assembly.main)
    documented = {settings.server.port: root, **assembly.documented}
    return Listeners(main, assembly.ports, lipsync, tryon, documented)


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


def _add_iot(assembly: _Assembly) -> None:
    context = assembly.context
    settings = context.settings.iot
    service = IotService(context)
    context.monitor.watch(service)
    application = iot.iot_application(service, context)
    around = iot.legacy_application(service, context)
    wanted = context.settings.has_enrollment_routes
    modal = enrollment.enrollment_application(service) if wanted else None
    beside = {"enrollment": modal} if modal else {}
    merge_into(around, {"/iot": application}, "health", beside)
    if settings.port is not None:
        assembly.documented[settings.port] = around
    rest = assembly.protect(
        service.name,
        around,
        body_limit=settings.max_body_bytes,
        open_paths=(*iot.ROOT_PATHS, "/docs", "/openapi.json", DOCS_FILES),
        cors_origins=settings.cors_origins,
        old_paths=iot.ROOT_PATHS,
    )

    if modal:
        rest = _before_others(assembly, service, modal, rest)
    elif settings.enrollment_routes:
        log.warning("enrollment routes are off", extra={"reason": "server.workers is not 1"})

    def under_its_prefix(stack: ASGIApp) -> ASGIApp:
        router = Router([Mount("/iot", stack)], redirect_slashes=False, default=rest)
        return UnderRoot(router, settings.root_path) if settings.root_path else router

    assembly.add(
        service.name,
        application,
        prefix="/iot",
        port=settings.port,
        body_limit=settings.max_body_bytes,
        open_paths=iot.OPEN_PATHS,
        cors_origins=settings.cors_origins,
        old_paths=iot.OLD_PATHS,
        own_port=under_its_prefix,
    )


def _before_others(
    assembly: _Assembly, service: IotService, application: FastAPI, rest: ASGIApp
) -> ASGIApp:
    """Return the old port's other routes with those of the enrollment modal's server."""
    stack = assembly.protect(
        service.name,
        application,
        body_limit=service.settings.max_body_bytes,
        render=enrollment.enrollment_error,
    )
    own = Router([route for route in application.routes if isinstance(route, APIRoute)])
    return PreferOwn(own, stack, lambda: rest)


def _add_vision(assembly: _Assembly) -> None:
    context = assembly.context
    settings = context.settings.vision
    service = VisionService(context)
    context.monitor.watch(service)
    application = vision.vision_application(service, context)

    def with_the_main_port(stack: ASGIApp) -> ASGIApp:
        return PreferOwn(application.router, stack, lambda: assembly.main)

    assembly.add(
        service.name,
        application,
        prefix="/vision",
        port=settings.port,
        body_limit=settings.max_body_bytes,
        open_paths=(*vision.OPEN_PATHS, "/docs", "/openapi.json", DOCS_FILES),
        cors_origins=settings.cors_origins,
        old_paths=vision.OLD_PATHS,
        own_port=with_the_main_port,
    )


def _add_lipsync(assembly: _Assembly) -> LipsyncService:
    context = assembly.context
    settings = context.settings.lipsync
    service = LipsyncService(context)
    context.monitor.watch(service)
    assembly.add(
        service.name,
        lipsync_application(service, context),
        prefix="/lipsync",
        port=None,
        body_limit=settings.max_body_bytes,
    )
    if settings.port is not None:
        scheme = "grpcs" if settings.server.tls.certificate else "grpc"
        host = context.settings.server.host
        assembly.urls[service.name].append(f"{scheme}://{host}:{settings.port}")
    return service


def _add_tryon(assembly: _Assembly) -> TryonService:
    context = assembly.context
    settings = context.settings.tryon
    service = TryonService(context)
    context.monitor.watch(service)
    open_paths = list(vton.OPEN_PATHS)
    if not context.settings.infer_needs_key:
        open_paths.append("/infer")
    if not settings.security.require_auth:  # but not others' jobs, which the old server never told
        open_paths += vton.DOCUMENTED_PATHS
    assembly.add(
        service.name,
        vton.vton_application(service),
        prefix="/vton",
        port=settings.port,
        body_limit=settings.max_body_bytes,
        header=vton.HEADER,
        open_paths=open_paths,
        cors_origins=settings.cors_origins,
        old_paths=vton.OLD_PATHS,
        exposed_headers=vton.EXPOSED_HEADERS,
    )
    return service
