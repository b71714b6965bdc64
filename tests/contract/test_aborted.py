"""A client that goes away while its body is read is no error of the gateway's."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import running_gateway

PATHS = {
    "text": ("/embed", b"application/json"),
    "vision": ("/infer", b"multipart/form-data; boundary=b"),
}


@pytest.mark.parametrize("port", PATHS)
async def test_it_is_counted_as_499(
    tmp_path: Path, port: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, kind = PATHS[port]
    received = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"--b\r\n", "more_body": True},
    ]

    async def receive() -> dict[str, Any]:
        return received.pop() if len(received) > 1 else received[0]

    async def send(message: Any) -> None:
        pass

    async with running_gateway(tmp_path) as gateway:
        app = gateway.listeners.ports[getattr(gateway.context.settings, port).port or 0]
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
            "root_path": "", "query_string": b"", "headers": [(b"content-type", kind)],
            "http_version": "1.1", "scheme": "http", "server": ("own", 80), "client": ("c", 1),
            "asgi": {"version": "3.0"},
        }  # fmt: skip
        await app(scope, receive, send)
        metrics = gateway.context.metrics.render().decode()
    assert f'method="POST",route="{path}",service="{port}",status="499"' in metrics
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_who_is_cut_off_when_the_gateway_stops_may_ask_again(tmp_path: Path) -> None:
    sent: list[Any] = []
    asked = asyncio.Event()

    async def receive() -> dict[str, Any]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async with running_gateway(tmp_path) as gateway:
        app = gateway.listeners.ports[gateway.context.settings.text.port or 0]
        scope = {
            "type": "http", "method": "POST", "path": "/embed", "raw_path": b"/embed",
            "root_path": "", "query_string": b"", "headers": [(b"host", b"localhost")],
            "http_version": "1.1", "scheme": "http", "server": ("own", 80), "client": ("c", 1),
        }  # fmt: skip
        task = asyncio.create_task(app(scope, receive, send))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"].isdigit()
    assert sent[-1]["body"]
