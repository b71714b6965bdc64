"""A real HTTP server that plays asset service and load balancer, and misbehaves on request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.support.waiting import PATIENCE

RESULT, COMPLETE = "/v1/vton/result", "/job_complete"


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    status: int = 0
    """What was answered; 0: nothing."""

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Fields of a form (files as bytes), or the JSON object."""
        kind = self.headers["content-type"]
        if kind.startswith("application/json"):
            return dict(json.loads(self.body))
        if kind.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        found: dict[str, Any] = {}
        for part in BytesParser(policy=HTTP).parsebytes(head + self.body).iter_parts():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            found[str(name)] = data if part.get_filename() else data.decode()
        return found

    def signed_by(self, secret: str) -> bool:
        """Whether one of the signatures is the secret's over the raw body (Standard Webhooks)."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.event_id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


def always(status: int, **headers: str) -> Callable[[Received], tuple[int, dict[str, str]]]:
    """Answer every request with one status; 0 cuts the connection, -1 hangs."""
    return lambda received: (status, headers)


def failing(share: float, seed: int = 0) -> Callable[[Received], tuple[int, dict[str, str]]]:
    """Fail so many of the requests, in every way there is."""
    dice = random.Random(seed)
    return lambda received: (dice.choice((500, 429, 503, 0)) if dice.random() < share else 200, {})


@dataclass
class Receiver:
    """The server; ``behave`` decides each answer."""

    port: int = 0
    host: str = "127.0.0.1"
    behave: Callable[[Received], tuple[int, dict[str, str]]] = field(default=always(200))
    delay: float = 0.0
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._kept: socket.socket | None = None
        self.start()

    @property
    def result_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{RESULT}"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = _Server((self.host, self.port), _handler(self))
        self.port = self._server.server_address[1]
        if self._kept:
            self._kept.close()
            self._kept = None
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def release(self) -> None:
        """Cut the connections that hang."""
        self._released.set()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.release()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            # Bound without listening: connections are refused, and nobody else takes the port.
            self._kept = socket.socket()
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind((self.host, self.port))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("content-length", "0"))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        received = Received(handler.path, headers, handler.rfile.read(size), time.time())
        status, extra = self.behave(received)
        received.status = status
        self.received.append(received)
        if status == -1:
            self._released.wait(PATIENCE)
        if status <= 0:
            handler.close_connection = True
            return
        time.sleep(self.delay)
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **extra}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    def of(self, path: str, status: int | None = None) -> list[Received]:
        """Return the requests to a path, perhaps only those that were answered so."""
        return [
            one for one in self.received
            if one.path == path and (status is None or one.status == status)
        ]  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle is no news."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
