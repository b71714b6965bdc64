"""Puts middleware around a service's application, and it under its prefix and on its port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from gateway.context import Context, Service
from gateway.errors import Render, error_response
from gateway.http.middleware.auth import Authentication
from gateway.http.middleware.body_limit import BodyLimit
from gateway.http.middleware.context import RequestContext
from gateway.http.middleware.cors import Cors
from gateway.http.middleware.hosts import HostCheck
from gateway.http.middleware.target import LikeGet, NoLastSlash
from gateway.http.middleware.unpack import Unpack
from gateway.http.openapi import Door
from gateway.lifecycle import Background, Lifecycle
from gateway.security import KEY_HEADER
from gateway.security.hosts import KnownHosts
from gateway.security.pages import Origins, PageGuard
from gateway.settings.keys import OPERATIONS


@dataclass(frozen=True)
class Checks:
    """What an application's requests have to pass.

    Attributes:
        body_limit: most bytes of a body.
        header: that carries a key beside the usual ones.
        open_paths: for which no key is asked.
        cors_origins: pages that may call beside those of ``server.cors``; ``*`` among them only
            ``old_paths``.
        old_paths: of the server that the service replaces.
        exposed_headers: of answers, that pages may read.
        shared: services whose keys are as good as the own, by path.
    """

    body_limit: int
    header: str = KEY_HEADER
    open_paths: Collection[str] = ()
    render: Render = error_response
    cors_origins: Sequence[str] = ()
    old_paths: Collection[str] = ()
    exposed_headers: Sequence[str] = ()
    shared: Mapping[str, Collection[str]] = field(default_factory=dict)


class Assembly:
    """Collects what each service contributes to the main port and to its own.

    Attributes:
        context: what the services share.
        lifecycle: knows whether the gateway is draining.
        main: the main port's application, once every service has been added.
        inner: the same within what every request passes once, for ports that fall back to it.
        mounts: the services' protected applications under their prefixes.
        applications: the same without protection, by prefix.
        urls: addresses of each service.
        documented: by port, the application whose API document is that of the port.
        services: those that were added, by name.
        background: what runs beside the requests, the services included.
        model_lists: by service, what `/v1/models` lists.
    """

    def __init__(self, context: Context, lifecycle: Lifecycle) -> None:
        self.context = context
        self.lifecycle = lifecycle
        self.main: ASGIApp = Router()
        self.inner: ASGIApp = Router()
        self.mounts: list[Mount] = []
        self.applications: dict[str, FastAPI] = {}
        self.urls: dict[str, list[str]] = {}
        self.ports: dict[int, ASGIApp] = {}
        self.documented: dict[int, FastAPI] = {}
        self.services: dict[str, Service] = {}
        self.background: list[Background] = []
        self.model_lists: dict[str, Callable[[], Sequence[str]]] = {}
        self._hosts = KnownHosts(context.settings.server)

    def watch(self, service: Service) -> None:
        """Have a service's health watched, and its background work run."""
        self.context.monitor.watch(service)
        self.services[service.name] = service
        self.background.append(service)

    def add(
        self,
        service: str,
        application: FastAPI,
        prefix: str,
        checks: Checks,
        *,
        port: int | None = None,
        own_port: Callable[[ASGIApp], ASGIApp] = lambda stack: stack,
    ) -> None:
        """Protect an application and put it under its prefix and, if it has one, its port.

        ``own_port`` makes the port's application of the protected one.
        """
        server = self.context.settings.server
        stack = self.protect(service, application, checks)
        self.applications[prefix] = application
        self.mounts.append(Mount(prefix, stack))
        urls = self.urls.setdefault(service, [])
        urls.append(f"http://{server.host}:{server.port}{prefix}")
        if port is not None:
            self.ports[port] = self.outermost(own_port(stack))
            self.documented.setdefault(port, application)
            urls.append(f"http://{server.host}:{port}")

    def protect(self, service: str, application: FastAPI, checks: Checks) -> ASGIApp:
        """Return an application behind the checks of host, origin, key and size."""
        context, cors = self.context, self.context.settings.server.cors
        names = dict.fromkeys((KEY_HEADER, checks.header))  # in this order, each once
        closed = not context.keys.is_open(service)
        application.state.door = Door(tuple(names), checks.open_paths, closed)
        origins = Origins(cors.allow_origins, checks.cors_origins, frozenset(checks.old_paths))
        limit, render = checks.body_limit, checks.render
        guarded = Authentication(
            BodyLimit(Unpack(application, limit), limit, render),
            context.keys,
            service,
            checks.header,
            checks.open_paths,
            PageGuard(origins),
            context.metrics,
            render,
            checks.shared,
        )
        shared = Cors(guarded, origins, cors, checks.exposed_headers)
        return HostCheck(shared, self._hosts, context.keys, service, context.metrics, render)

    def finish(self, others: FastAPI, checks: Checks) -> None:
        """Make the main port's application, with ``others`` behind paths that no service owns."""
        guarded = self.protect(OPERATIONS, others, checks)
        # A service may have its place below another one's.
        mounts = sorted(self.mounts, key=lambda mount: len(mount.path), reverse=True)
        self.inner = Router(mounts, redirect_slashes=False, default=guarded)
        self.main = self.outermost(self.inner)
        self.documented[self.context.settings.server.port] = others

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
