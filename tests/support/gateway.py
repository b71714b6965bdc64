"""The gateway's applications in this process, with a stand-in for Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.app import assemble
from gateway.context import Context
from gateway.http.assembly import Assembly
from gateway.lifecycle import Lifecycle
from gateway.server import build_context
from gateway.settings import Settings, load_settings
from launcher.server import free_ports
from tests.support.fake_triton import FakeTriton
from tests.support.waiting import until

CONNECTIONS = 1000
"""Of each port, where a test sets no limit."""


@dataclass
class Running:
    """A gateway whose models are ready."""

    triton: FakeTriton
    context: Context
    listeners: Assembly
    lifecycle: Lifecycle
    main: httpx.AsyncClient
    text: httpx.AsyncClient
    vision: httpx.AsyncClient
    iot: httpx.AsyncClient


def settings_for(state: Path, **values: Any) -> Settings:
    """Return settings that touch nothing but ``state``."""
    empty = state / "empty.yaml"
    empty.write_text("{}")
    base = load_settings(empty, {})
    merged = base.model_dump()
    # Its default lies among the ports of outgoing connections, one of which may have it.
    (merged["lipsync"]["server"]["port"],) = free_ports(1)
    merged["paths"]["state"] = state
    merged["services"] = ["iot", "text", "vision"]  # lip-sync needs tenants
    for section, found in values.items():
        if isinstance(found, dict):
            merged[section].update(found)
        else:
            merged[section] = found
    return Settings(**merged)


@asynccontextmanager
async def running_gateway(
    state: Path, triton: FakeTriton | None = None, *, wait: bool = True, **values: Any
) -> AsyncIterator[Running]:
    """Run the gateway's applications and its health monitor in this event loop."""
    fake = triton or FakeTriton()
    settings = settings_for(state, **values)
    context = build_context(settings, fake)  # type: ignore[arg-type]
    lifecycle = Lifecycle(connections=settings.server.connections.max_per_port or CONNECTIONS)
    listeners = assemble(context, lifecycle)
    for part in listeners.background:
        await part.start()
    context.monitor.start()
    await context.gpus.start()

    def client(app: Any, base: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base)

    main = client(listeners.main, "http://localhost:9000")
    ports = [getattr(settings, name).port or 0 for name in ("text", "vision", "iot")]
    own = [client(listeners.ports.get(port, listeners.main), "http://localhost") for port in ports]
    try:
        if wait:
            await until(lambda: context.monitor.report()["status"] == "ready")
        yield Running(fake, context, listeners, lifecycle, main, *own)
    finally:
        for one in (main, *own):
            await one.aclose()
        await context.gpus.stop()
        await context.monitor.stop()
        for part in listeners.background:
            await part.drain(0)
            await part.stop()
