"""A minimal HTTP/1.1 keep-alive client.

The generator shares the machine with the server it measures, so its own cost per request must be
small and the same for every server: one protocol object per connection, requests built before
the run, no header objects, bodies left as bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

_BOUNDARY = "5a1b7b2f0e6c4d3c9a8e"


class TransportError(Exception):
    """The connection could not be made, or broke before the answer was complete."""


@dataclass(frozen=True)
class Address:
    """Where a server listens, and the prefix its paths have."""

    host: str
    port: int
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``http://host:port/prefix``.

        Raises:
            ValueError: not an http URL with a host and a port.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError(f"expected http://host:port, got {url!r}")
        return cls(parts.hostname, parts.port, parts.path.rstrip("/"))


@dataclass(frozen=True)
class Answer:
    """Status code and body of one response."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Body:
    """What a request carries."""

    content: bytes = b""
    content_type: str = "application/json"

    @classmethod
    def json(cls, content: object) -> Body:
        """Serialise ``content``."""
        return cls(json.dumps(content, ensure_ascii=False).encode())

    @classmethod
    def file(cls, field: str, name: str, content: bytes) -> Body:
        """Return a multipart form with one file."""
        return cls.files({field: (name, content)})

    @classmethod
    def files(cls, fields: Mapping[str, tuple[str, bytes]]) -> Body:
        """Return a multipart form with files, by field: name and content."""
        parts = [
            f"--{_BOUNDARY}\r\n"
            f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + content + b"\r\n"
            for field, (name, content) in fields.items()
        ]  # fmt: skip
        whole = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
        return cls(whole, f"multipart/form-data; boundary={_BOUNDARY}")


def build_request(address: Address, method: str, path: str, body: Body = Body()) -> bytes:
    """Serialise one request."""
    head = (
        f"{method} {address.prefix}{path} HTTP/1.1\r\n"
        f"Host: {address.host}:{address.port}\r\n"
        f"Content-Type: {body.content_type}\r\n"
        "Accept: */*\r\n"
        f"Content-Length: {len(body.content)}\r\n\r\n"
    )
    return head.encode() + body.content


class Connection(asyncio.Protocol):
    """One connection with at most one request in flight; reopened by ``request`` when closed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._chunks: list[bytes] = []

    async def request(self, payload: bytes) -> Answer:
        """Send ``payload`` (from ``build_request``) and return the complete answer.

        Raises:
            TransportError: no connection, or it ended before the answer was complete.
        """
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            try:
                await loop.create_connection(lambda: self, self._address.host, self._address.port)
            except OSError as error:
                raise TransportError(str(error)) from error
        assert self._transport is not None
        self._waiter = loop.create_future()
        self._chunks = []
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(payload)
        return await self._waiter

    def close(self) -> None:
        """Close the connection; it may be used again."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports do not inherit from asyncio.Transport, so no isinstance here.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request in flight, if there is one."""
        self._transport = None
        self._fail("connection closed before the answer was complete")

    # httptools callbacks

    def on_body(self, body: bytes) -> None:
        """Collect a part of the body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        assert self._parser is not None
        if self._waiter is not None and not self._waiter.done():
            answer = Answer(self._parser.get_status_code(), b"".join(self._chunks))
            if not self._parser.should_keep_alive():
                self.close()
            self._waiter.set_result(answer)

    def _fail(self, reason: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TransportError(reason))


async def fetch(address: Address, path: str) -> Answer:
    """GET one path on a connection of its own.

    Raises:
        TransportError: no connection, or it ended before the answer was complete.
    """
    connection = Connection(address)
    try:
        return await connection.request(build_request(address, "GET", path))
    finally:
        connection.close()
