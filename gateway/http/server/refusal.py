"""Answers to what is not a request that an application could be asked."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True)
class Refusal:
    """An answer after which the connection is closed.

    Attributes:
        status: HTTP status code.
        detail: what the client reads.
        retry_after: whole seconds for the ``Retry-After`` header, or None.
    """

    status: int
    reason: str
    detail: str
    retry_after: int | None = None

    def render(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the whole answer; ``headers`` are those of every answer."""
        body = json.dumps({"detail": self.detail}).encode()
        lines = [
            b"HTTP/1.1 %d %s" % (self.status, HTTPStatus(self.status).phrase.encode()),
            *(b"%s: %s" % header for header in headers),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"connection: close",
        ]
        if self.retry_after is not None:
            lines.append(b"retry-after: %d" % self.retry_after)
        return b"\r\n".join((*lines, b"", body))


def bad_request(detail: str) -> Refusal:
    """Return the answer to bytes that are no valid request."""
    return Refusal(400, "bad_request", detail)


def head_too_large(detail: str) -> Refusal:
    """Return the answer to a head, or the framing of a body, beyond the limits."""
    return Refusal(431, "head_too_large", detail)


INVALID = bad_request("Invalid HTTP request")
SLOW_HEAD = Refusal(408, "head_timeout", "The request's headers did not arrive in time")
SLOW_BODY = Refusal(408, "body_timeout", "The request's body arrives too slowly")
FULL = Refusal(503, "full", "Too many connections - retry later", retry_after=2)
