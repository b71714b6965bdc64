"""The gateway's own routes on the main port: health, metrics, the merged OpenAPI document."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.context import Context
from gateway.http.application import service_application
from gateway.http.built_pages import add_dashboard, add_guide
from gateway.http.declaration import declare
from gateway.http.openapi import merge_into
from gateway.http.operations_schemas import Alive, Readiness, ServicesReport
from gateway.lifecycle import Lifecycle
from gateway.telemetry.activity import WINDOW


def operations_application(
    context: Context,
    lifecycle: Lifecycle,
    urls: dict[str, list[str]],
    mounted: dict[str, FastAPI],
) -> FastAPI:
    """Return the application behind every path no service owns.

    Args:
        context: shared parts.
        lifecycle: knows whether the gateway is draining.
        urls: addresses of each service, for ``/readyz``.
        mounted: the services' applications by prefix, for the merged document.
    """
    app = service_application("Pentad", "Five GPU services on one Triton Inference Server.")

    @declare(app, "GET", "/healthz", "Whether the gateway's process answers", answer=Alive)
    async def healthz(request: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @declare(
        app, "GET", "/readyz", "State of every service; 503 when a required one is not ready",
        answer=Readiness, also={503: Readiness},
    )  # fmt: skip
    async def readyz(request: Request) -> JSONResponse:
        report = _report(context, lifecycle)
        for name, service in report["services"].items():
            service["urls"] = urls.get(name, [])
        ready = report["status"] in ("ready", "degraded")
        return JSONResponse(report, 200 if ready else 503)

    @declare(
        app, "GET", "/services", "What every service does now: queue, rate, latency, errors",
        answer=ServicesReport,
    )  # fmt: skip
    async def services(request: Request) -> JSONResponse:
        return JSONResponse(_services(context, lifecycle, urls))

    @declare(app, "GET", "/metrics", "Prometheus metrics", answer={"text/plain": str})
    async def metrics(request: Request) -> Response:
        return Response(context.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    add_dashboard(app, context.settings.paths.dashboard)
    add_guide(app, context.settings.paths.guide)
    merge_into(app, mounted, "gateway")
    return app


def _report(context: Context, lifecycle: Lifecycle) -> dict[str, Any]:
    report = context.monitor.report()
    if lifecycle.draining:
        report["status"] = "draining"
    return report


def _services(context: Context, lifecycle: Lifecycle, urls: dict[str, list[str]]) -> dict[str, Any]:
    report = _report(context, lifecycle)
    services = []
    for service in context.monitor.services():
        admission, known = service.admission, report["services"][service.name]
        broken = (model["detail"] for model in known["models"] if model["detail"])
        services.append(
            {
                "name": service.name,
                "state": known["state"],
                "detail": next(broken, None),
                "urls": urls.get(service.name, []),
                "models": [
                    {**row, "calls": model.info.get("calls") or {}}
                    for row, model in zip(known["models"], service.models, strict=True)
                ],
                "queue": {
                    "slots": admission.slots,
                    "in_flight": admission.in_flight,
                    "waiting": admission.waiting,
                },
                **context.activity.summary(service.name),
            }
        )
    return {
        "timestamp": time.time(),
        "status": report["status"],
        "window_s": WINDOW,
        "workers": context.settings.server.workers,  # the figures are those of one of them
        "triton": report["triton"],
        "services": services,
    }
