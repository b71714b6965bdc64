"""The try-on API in this process, with the stand-in for Triton."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.services.tryon.service import TryonService
from tests.support.gateway import Running, running_gateway
from tests.support.tiny_pictures import png
from tests.support.tryon_triton import TryonTriton
from tests.support.waiting import PATIENCE

UNDER_WAY = ("queued", "running", "delivering")


class EventStream:
    """A stream that is read as it comes: httpx's own transport waits for its end.

    Attributes:
        text: what has come so far.
        headers: of the answer.
        task: ends with the stream.
    """

    def __init__(self, app: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.text = ""
        self.headers: dict[str, str] = {}
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "root_path": "", "query_string": b"", "headers": headers, "http_version": "1.1",
            "scheme": "http", "server": ("own", 80), "client": ("c", 1),
            "asgi": {"version": "3.0"},
        }  # fmt: skip
        self._requests = [{"type": "http.request", "body": b"", "more_body": False}]
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._requests:
            await asyncio.Event().wait()  # the client stays
        return self._requests.pop()

    async def _send(self, message: dict[str, Any]) -> None:
        self.text += message.get("body", b"").decode()
        for name, value in message.get("headers", ()):
            self.headers[name.decode()] = value.decode()


@dataclass
class TryonGateway:
    """A running gateway whose own try-on port is ``own``."""

    running: Running
    own: httpx.AsyncClient
    triton: TryonTriton

    @property
    def service(self) -> TryonService:
        service = self.running.listeners.services["tryon"]
        assert isinstance(service, TryonService)
        return service

    async def submit(self, job_id: str | None = None, **changes: Any) -> httpx.Response:
        """Send a complete `/tryon`; ``changes`` replace fields, None removes one."""
        headers = changes.pop("headers", None)
        data, files = tryon_form(job_id, **changes)
        return await self.own.post("/tryon", data=data, files=files, headers=headers)

    async def infer(self, **changes: Any) -> httpx.Response:
        """Send a complete `/infer`."""
        headers = changes.pop("headers", None)
        files = {name: changes.pop(name, png()) for name in ("masked_user_image", "garment_image")}
        return await self.own.post("/infer", data=changes, files=files, headers=headers)

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job's JSON."""
        reply = await self.own.get(f"/jobs/{job_id}")
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def follow(self, job_id: str, *headers: tuple[bytes, bytes]) -> EventStream:
        """Follow a job's events."""
        app = self.running.listeners.ports[self.running.context.settings.tryon.port or 0]
        return EventStream(app, f"/jobs/{job_id}/events", list(headers))

    async def until(self, job_id: str, *states: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until a job has one of ``states``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = await self.job(job_id)
            if job["state"] in states:
                return job
            await asyncio.sleep(0.01)
        raise AssertionError(f"still {job['state']}: {job}")


def tryon_form(
    job_id: str | None = None, **changes: Any
) -> tuple[dict[str, str], dict[str, tuple[str, bytes, str]]]:
    """Return fields and files of a complete `/tryon`."""
    data: dict[str, Any] = {
        "job_id": job_id or str(uuid.uuid4()), "user_id": "user-1",
        "session_id": str(uuid.uuid5(uuid.NAMESPACE_URL, job_id or "")), "provider": "qwen",
        "config": "{}",
    }  # fmt: skip
    files: dict[str, Any] = {
        "masked_user_image": ("person.png", png(), "image/png"),
        "garment_image": ("garment.png", png(48, 48, b"abc"), "image/png"),
    }
    for name, value in changes.items():
        if isinstance(value, bytes):
            files[name] = (f"{name}.png", value, "image/png")
        elif name in files:
            files.pop(name)
        else:
            data[name] = value
    return {name: value for name, value in data.items() if value is not None}, files


@asynccontextmanager
async def tryon_gateway(
    tmp_path: Path, triton: TryonTriton | None = None, *, wait: bool = True, **values: Any
) -> AsyncIterator[TryonGateway]:
    """Run the try-on service; keyword arguments are sections of the configuration."""
    fake = triton or TryonTriton()
    tryon = {"jobs": {"poll_seconds": 0.05}, **values.pop("tryon", {})}
    async with running_gateway(
        tmp_path, fake, wait=wait, services=["tryon"], tryon=tryon, **values
    ) as running:
        app = running.listeners.ports[running.context.settings.tryon.port or 0]
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as own:
            yield TryonGateway(running, own, fake)
