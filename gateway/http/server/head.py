"""What the head of a request must look like before any application sees it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable

import httptools
from uvicorn._types import HTTPScope

from gateway.http.server.refusal import Refusal, bad_request

Headers = list[tuple[bytes, bytes]]
VERSIONS = ("1.1", "1.0")


def check_head(version: str, method: bytes, headers: Headers) -> Refusal | None:
    """Return what is wrong with a head that the parser lets pass, None when nothing is.

    Args:
        version: of HTTP, e.g. ``1.1``.
        method: as sent.
        headers: names in lower case.
    """
    if version not in VERSIONS:
        return Refusal(505, "bad_request", "This version of HTTP is not supported")
    if method == b"CONNECT":
        return bad_request("This is not a proxy")
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        return bad_request("A request has exactly one Host header")
    # A proxy in front may disagree about where such a body ends.
    if b"transfer-encoding" in names and (version == "1.0" or _codings(headers) != [b"chunked"]):
        return bad_request("Transfer-Encoding can only be chunked, in HTTP/1.1")
    return None


def complete_scope(scope: HTTPScope, target: bytes, version: str, method: bytes) -> None:
    """Fill in what a request's line says.

    A target in absolute form (`GET http://name/path`) says the host, whatever the header Host says
    (RFC 9112, 3.2.2).

    Raises:
        Exception: of several kinds, when ``target`` has no path.
    """
    parsed = httptools.parse_url(target)
    if parsed.host:
        port = b":%d" % parsed.port if parsed.port else b""
        host = b"[%s]" % parsed.host if b":" in parsed.host else parsed.host
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", host + port), *others]
    path = parsed.path.decode("ascii")
    scope["method"] = method.decode("ascii")
    scope["http_version"] = version
    scope["raw_path"] = parsed.path
    scope["path"] = urllib.parse.unquote(path) if "%" in path else path
    scope["query_string"] = parsed.query or b""


def _codings(headers: Headers) -> list[bytes]:
    return [value.lower() for name, value in headers if name == b"transfer-encoding"]


def same_framing(headers: Headers, keep_alive: bool) -> bytes:
    """Return a head that announces the same body as ``headers`` do, and nothing else.

    Args:
        headers: of a checked head, names in lower case.
        keep_alive: whether another request may follow.
    """
    length = b"Content-Length: 0"
    for name, value in headers:
        if name == b"content-length":
            length = b"Content-Length: " + value
        elif name == b"transfer-encoding":
            length = b"Transfer-Encoding: chunked"
    close = b"" if keep_alive else b"Connection: close\r\n"
    return b"POST / HTTP/1.1\r\n%s\r\n%s\r\n" % (length, close)


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the body's length in bytes; None when it comes in chunks."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0
