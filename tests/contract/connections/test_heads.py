"""Heads of requests, before any key: their size, and what leaves no doubt about the body."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import psutil
import pytest

from tests.support.listener import Running, listening, read_all, statuses

LIMIT = 64 * 2**10
START = b"GET /a HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
END = b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with listening() as found:
        yield found


def field(size: int) -> bytes:
    return b"X-A: " + b"a" * (size - 7) + b"\r\n"


@pytest.mark.parametrize(
    "head",
    [
        START + field(60_000) + END,
        START + b"X: y\r\n" * 190 + END,
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: a\r\n" + END,
    ],
    ids=["long header", "many headers", "long target"],
)
def test_a_large_head_is_read(running: Running, head: bytes) -> None:
    assert statuses(running.talk(head)) == [200]
    assert statuses(running.talk(head[:100], head[100:30_000], head[30_000:], pause=0.05)) == [200]


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "head",
    [
        START + field(LIMIT + 10),
        START + field(1000) * 70,
        START + b"X: y\r\n" * 201,
        b"GET /" + b"a" * (LIMIT + 10) + b" HTTP/1.1\r\nHost: a\r\n",
        b"GET /?" + b"a" * (LIMIT + 10) + b" HTTP/1.1\r\nHost: a\r\n",
        START + b"a" * (LIMIT + 10),
    ],
    ids=["long header", "long headers", "many headers", "long target", "long query", "long name"],
)
def test_too_large_a_head_is_refused(running: Running, head: bytes, finished: bool) -> None:
    before = running.ended("head_too_large")
    out = running.talk(head + (END if finished else b""))
    assert statuses(out) == [431]
    assert b"connection: close" in out
    assert b'{"detail": ' in out
    assert running.ended("head_too_large") == before + 1


@pytest.mark.parametrize("kind", ["header", "headers", "target", "extension", "trailer", "name"])
def test_an_endless_head_takes_no_memory(running: Running, kind: str) -> None:
    chunks = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    begin, part = {
        "header": (START + b"X: ", b"a" * 2**16),
        "headers": (START, b"X-Ab: c\r\n" * 2**13),
        "target": (b"GET /", b"a" * 2**16),
        "extension": (chunks + b"1;", b"a" * 2**16),
        "trailer": (chunks + b"1\r\na\r\n0\r\nX: ", b"a" * 2**16),
        "name": (START, b"a" * 2**16),
    }[kind]
    before = psutil.Process().memory_info().rss
    with running.connect() as sock:
        sock.sendall(begin)

        def flood() -> None:
            try:
                for _ in range(960):  # 60 MiB
                    sock.sendall(part)
            except OSError:
                pass

        sender = threading.Thread(target=flood)
        sender.start()
        out = read_all(sock)
        sender.join()
    assert statuses(out) == [431]
    assert psutil.Process().memory_info().rss - before < 20 * 2**20


def test_many_small_trailers_and_extensions_are_bounded_too(running: Running) -> None:
    chunks = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for part in (b"1;x=" + b"y" * 1000 + b"\r\na\r\n", b"0\r\n" + b"X-Ab: cd\r\n" * 100):
        rest = part * 400 if part.startswith(b"1") else part + b"X-Ab: cd\r\n" * 40_000
        assert statuses(running.talk(chunks, rest, b"0\r\n\r\n")) == [431]


def test_small_chunks_are_no_framing_flood(running: Running) -> None:
    sent = POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"1\r\na\r\n" * 2**16
    assert statuses(running.talk(sent, b"0\r\n\r\n")) == [200]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nX-Host: a\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n",
        b"GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: 0x3\r\n\r\nabc",
        POST + b"Content-Length: 99999999999999999999999999\r\n\r\nabc",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        START + b"X: a\r\n b\r\n\r\n",
        START + b"X: a\rb\r\n\r\n",
        START + b"X: a\x00b\r\n\r\n",
        START + b"X : a\r\n\r\n",
        START + b" X: a\r\n\r\n",
        b"GET /a HTTP/1.1\nHost: a\n\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_a_doubtful_head_is_400_and_the_end(running: Running, head: bytes) -> None:
    out = running.talk(head + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(out) == [400]
    assert b"connection: close" in out
    assert b'{"detail": ' in out


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_other_versions_are_505(running: Running, version: bytes) -> None:
    out = running.talk(b"GET /a HTTP/" + version + b"\r\nHost: a\r\n\r\n")
    assert statuses(out) == [505]


@pytest.mark.parametrize(
    ("authority", "host"),
    [(b"evil.test", b"evil.test"), (b"evil.test:81", b"evil.test:81"), (b"[::1]:5", b"[::1]:5")],
)
def test_a_target_with_a_host_says_the_host(
    running: Running, authority: bytes, host: bytes
) -> None:
    line = b"GET http://%s/a?b HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n" % authority
    seen = json.loads(running.talk(line + END).split(b"\r\n\r\n", 1)[1])
    assert seen["path"] == "/a"
    assert [value for name, value in seen["headers"] if name == "host"] == [host.decode()]
    assert ["x-a", "b"] in seen["headers"]


def test_http_1_0_needs_no_host(running: Running) -> None:
    assert statuses(running.talk(b"GET /a HTTP/1.0\r\n\r\n")) == [200]


def test_a_bad_chunk_is_400(running: Running) -> None:
    for chunk in (b"zz\r\n", b"1 \r\na\r\n", b"1\na\r\n", b"1\r\nabc\r\n", b"-1\r\n", b"\r\n"):
        out = running.talk(POST + b"Transfer-Encoding: chunked\r\n\r\n", chunk, pause=0.05)
        assert statuses(out) == [400], chunk
