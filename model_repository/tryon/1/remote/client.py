"""HTTP to a server of OpenAI's images API, one request at a time.

The server is the configured one: redirects are not followed, proxies of the environment not used,
nothing that it answers is fetched. Nothing of an answer but its status gets into a log.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tryon_errors import PipelineError
from tryon_settings import RemoteServer

CONNECT_SECONDS = 10.0
PROBE_SECONDS = 5.0
"""The longest that a server may take for the list of its models."""
LOOK = 0.1
"""Seconds between looks whether anybody still waits for the picture."""
MAX_PROBE_BYTES = 2**20
KEEPALIVE: tuple[tuple[int, int, int], ...] = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
"""A machine that vanishes in the middle of an answer is noticed after 75 s: no byte comes while
the server computes, however long that takes."""
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")

logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells every URL


class NotReachedError(Exception):
    """No connection could be made: the server knows nothing of the request."""


class BrokenOffError(Exception):
    """The connection broke after the request had begun to go out."""


class UnusableAnswerError(Exception):
    """The server answers, but not so that it can be read; the text says why."""


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        status: Of HTTP.
        retry_after: Seconds that it asks to wait; None where it does not, or says a date.
        body: Of a 200; empty of any other.
    """

    status: int
    retry_after: float | None
    body: bytes


class ImageEditClient:
    """A client of one server."""

    def __init__(self, server: RemoteServer) -> None:
        """Check the settings.

        Raises:
            PipelineError: The address, the key or the authorities are unusable.
        """
        self._server = server
        try:
            url = httpx.URL(server.url)
        except httpx.InvalidURL:
            raise PipelineError("remote_url is no URL") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise PipelineError("remote_url is no http:// or https:// URL")
        if url.userinfo or url.query or url.fragment:
            raise PipelineError("remote_url holds more than an address and a path")
        try:
            self._trusted = ssl.create_default_context(cafile=server.ca_file)
        except (OSError, ssl.SSLError):
            raise PipelineError("remote_ca_file is unreadable") from None
        self._headers()

    def edit(
        self,
        fields: Mapping[str, str],
        pictures: Sequence[bytes],
        limit: int,
        check: Callable[[], None],
    ) -> Reply:
        """Ask for a picture and return the answer; what `check` raises closes the connection.

        Args:
            fields: Of the form.
            pictures: PNG files, in their order.
            limit: Most bytes of the answer.
            check: Called while the server works.

        Raises:
            NotReachedError: No connection could be made.
            BrokenOffError: The connection broke.
            UnusableAnswerError: The answer is too large, or compressed.
            PipelineError: The key is unusable.
        """
        files = [
            ("image[]", (f"picture-{place}.png", picture, "image/png"))
            for place, picture in enumerate(pictures, start=1)
        ]
        form = {"data": dict(fields), "files": files}
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
        return asyncio.run(
            self._watched(self._exchange("POST", "images/edits", timeout, limit, form), check)
        )

    def models(self) -> Reply:
        """Return the list of the server's models, as a sign of life; exceptions as of `edit`."""
        exchange = self._exchange("GET", "models", httpx.Timeout(None), MAX_PROBE_BYTES)
        try:
            return asyncio.run(asyncio.wait_for(exchange, PROBE_SECONDS))
        except asyncio.TimeoutError:
            raise NotReachedError from None

    async def _watched(
        self, exchange: Coroutine[Any, Any, Reply], check: Callable[[], None]
    ) -> Reply:
        task = asyncio.ensure_future(exchange)
        try:
            while not (await asyncio.wait({task}, timeout=LOOK))[0]:
                check()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _exchange(
        self,
        method: str,
        path: str,
        timeout: httpx.Timeout,
        limit: int,
        form: Mapping[str, Any] | None = None,
    ) -> Reply:
        transport = httpx.AsyncHTTPTransport(
            verify=self._trusted, trust_env=False, socket_options=KEEPALIVE
        )
        try:
            async with (
                httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as client,
                client.stream(
                    method, f"{self._server.url}/{path}", headers=self._headers(), **(form or {})
                ) as response,
            ):
                return await _read(response, limit)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise NotReachedError from None
        except httpx.TransportError:
            raise BrokenOffError from None

    def _headers(self) -> dict[str, str]:
        """Return the headers; the key's file is read each time, so that it can be replaced."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._server.key_file is not None:
            headers["Authorization"] = f"Bearer {_key(self._server.key_file)}"
        return {**headers, "User-Agent": "pentad"}


async def _read(response: httpx.Response, limit: int) -> Reply:
    retry_after = response.headers.get("retry-after", "").strip()
    seconds = float(retry_after) if re.fullmatch("[0-9]{1,9}", retry_after) else None
    if response.status_code != 200:
        return Reply(response.status_code, seconds, b"")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UnusableAnswerError("compressed, though that was not asked for")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > limit:
            raise UnusableAnswerError(f"more than {limit} bytes")
    return Reply(200, seconds, bytes(body))


def _key(file: Path) -> str:
    try:
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise PipelineError("remote_key_file is unreadable") from None
    if not _KEY.fullmatch(key):
        raise PipelineError("remote_key_file holds no key: one line of visible ASCII")
    return key
