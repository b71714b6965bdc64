"""A listener of the gateway on a free port, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.server.listener import Listener
from gateway.settings.server import ServerSettings
from gateway.sockets import bind
from gateway.telemetry.metrics import Metrics

PATIENCE = 60.0  # seconds; nothing here waits that long unless it hangs


@dataclass
class Running:
    """A listener that answers."""

    port: int
    metrics: Metrics
    listener: Listener

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ended(self, reason: str) -> float:
        """Return how many connections the gateway has ended for a reason."""
        return self.metrics.connections_ended.labels(self.port, reason)._value.get()

    def talk(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send the parts, and return everything that comes until the server closes."""
        with self.connect() as sock:
            for part in parts:
                sock.sendall(part)
                time.sleep(pause)
            return read_all(sock)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "still not so"
            time.sleep(0.01)


def read_all(sock: socket.socket) -> bytes:
    """Read until the end of the stream."""
    found = b""
    while part := sock.recv(2**16):
        found += part
    return found


def read_answer(sock: socket.socket) -> tuple[int, dict[bytes, bytes], bytes]:
    """Read one answer with a Content-Length; return status, headers and body."""
    file = sock.makefile("rb")
    status = int(file.readline().split()[1])
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return status, headers, file.read(int(headers.get(b"content-length", 0)))


def send_until_closed(sock: socket.socket, part: bytes, pause: float = 0.0) -> int:
    """Send a part again and again until the server has had enough; return the bytes sent."""
    end, sent = time.monotonic() + PATIENCE, 0
    while time.monotonic() < end:
        try:
            sock.sendall(part)
        except OSError:
            return sent
        sent += len(part)
        time.sleep(pause)
    raise AssertionError("never ended")


def statuses(answers: bytes) -> list[int]:
    """Return the status codes of answers on one connection."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


async def read_body(receive: Receive) -> bytes | None:
    """Return a request's body, None when its client went away first."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def reply(send: Send, status: int, body: bytes) -> None:
    """Answer with a body of known length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was asked; ``/early/N`` answers N without reading the body."""
    kind, _, rest = scope["path"].strip("/").partition("/")
    if kind == "early":
        await reply(send, int(rest), b'{"detail": "no"}')
        return
    if kind == "slow":
        await asyncio.sleep(float(rest))
    body = await read_body(receive)
    headers = [
        [name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]
    ]
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": headers,
        "body": None if body is None else body.decode("latin-1"),
    }
    await reply(send, 200, json.dumps(seen).encode())


@contextmanager
def listening(
    app: ASGIApp = echo,
    *,
    capacity: int = 1000,
    keep_alive_seconds: int = 65,
    **limits: Any,
) -> Iterator[Running]:
    """Serve ``app`` with limits of connections, e.g. ``head_seconds=0.5``."""
    settings = ServerSettings(
        keep_alive_seconds=keep_alive_seconds, drain_seconds=5, connections=limits
    )
    metrics = Metrics()
    started: list[Running] = []

    async def run() -> None:
        sock = bind("127.0.0.1", 0, 2048)
        port = sock.getsockname()[1]
        listener = Listener(app, settings, capacity, metrics, port)
        started.append(Running(port, metrics, listener))
        await listener.serve([sock])

    thread = threading.Thread(target=lambda: uvloop.run(run()), daemon=True)
    thread.start()
    end = time.monotonic() + PATIENCE
    while not started or not started[0].listener.started:
        assert time.monotonic() < end
        time.sleep(0.005)
    try:
        yield started[0]
    finally:
        started[0].listener.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()
