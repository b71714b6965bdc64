"""Compressed request bodies: unpacked piece by piece, within the limit of the unpacked size."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import (
    BadRequestError,
    BodyTooLargeError,
    ClientGoneError,
    UnsupportedCodingError,
)

PIECE = 2**16  # bytes unpacked in one go
YIELD = 16  # pieces of one message after which others have their turn
MEMBERS = 1000  # of one gzip body; each costs the same, however empty it is
_DAMAGED = "The body is not what its Content-Encoding says, or is cut off"
_GZIP = ("gzip", "x-gzip")


class Unpack:
    """Hands on bodies as if they had never been compressed.

    What is wrong with a body is raised out of ``receive``, as :class:`BodyLimit` does.

    Args:
        limit: most bytes after unpacking.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        coding = ""
        if scope["type"] == "http":
            coding = Headers(scope=scope).get("content-encoding", "").strip().lower()
        if coding in ("", "identity"):
            await self._app(scope, receive, send)
            return
        pieces = _unpacked(receive, coding, self._limit)
        ended = False

        async def unpacked() -> Message:
            nonlocal ended
            if ended:
                return await receive()
            body = await anext(pieces, None)
            ended = body is None
            return {"type": "http.request", "body": body or b"", "more_body": not ended}

        dropped = (b"content-encoding", b"content-length")
        headers = [pair for pair in scope["headers"] if pair[0] not in dropped]
        await self._app({**scope, "headers": headers}, unpacked, send)


async def _unpacked(receive: Receive, coding: str, limit: int) -> AsyncIterator[bytes]:
    """Yield the unpacked body.

    Raises:
        UnsupportedCodingError: another coding.
        BadRequestError: damaged or cut off.
        BodyTooLargeError: over the limit.
        ClientGoneError: the client left in the middle.
    """
    if coding not in (*_GZIP, "deflate"):
        raise UnsupportedCodingError
    stream = _Stream(gzip=coding in _GZIP)
    size = count = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        more = message.get("more_body", False)
        stream.add(message.get("body", b""))
        while piece := stream.next():
            size, count = size + len(piece), count + 1
            if size > limit:
                raise BodyTooLargeError(
                    f"Request body too large: the limit is {limit} bytes unpacked"
                )
            yield piece
            if not count % YIELD:
                await asyncio.sleep(0)
    if not stream.complete:
        raise BadRequestError(_DAMAGED)


class _Stream:
    """A gzip body, of one member or several, or a deflate body with or without zlib's header."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._members = 0
        self._packed = b""
        self._full = False
        self._inner: zlib._Decompress | None = None

    @property
    def complete(self) -> bool:
        """Whether the body may end here; one of nothing may."""
        return not self._packed and (self._inner is None or self._inner.eof)

    def add(self, packed: bytes) -> None:
        self._packed += packed

    def next(self) -> bytes:
        """Return the next bytes, at most a piece; none when more of the body is needed.

        Raises:
            BadRequestError: damaged.
        """
        while self._packed or self._full:
            inner = self._member()
            if inner is None or (inner.eof and not self._packed):
                break
            if inner.eof:
                raise BadRequestError(_DAMAGED)  # something follows
            try:
                piece = inner.decompress(self._packed, PIECE)
            except zlib.error:
                raise BadRequestError(_DAMAGED) from None
            self._packed = inner.unconsumed_tail or inner.unused_data
            self._full = len(piece) == PIECE  # there may be more, of what was read already
            if piece:
                return piece
        return b""

    def _member(self) -> zlib._Decompress | None:
        """Return what reads the next bytes; None while they do not tell what they are."""
        if self._inner and not (self._inner.eof and self._gzip and self._packed):
            return self._inner
        if not self._gzip and len(self._packed) < 2:
            return None
        self._members += 1
        if self._members > MEMBERS:
            raise BadRequestError(_DAMAGED)
        bits = 16 + zlib.MAX_WBITS
        if not self._gzip:
            first, second = self._packed[:2]
            named = first & 15 == 8 and (first * 256 + second) % 31 == 0
            bits = zlib.MAX_WBITS if named else -zlib.MAX_WBITS
        self._inner = zlib.decompressobj(bits)
        return self._inner
