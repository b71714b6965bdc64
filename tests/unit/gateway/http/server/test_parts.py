"""A connection fed byte by byte: how the network cuts a request changes nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.http.server.connection import Connection
from gateway.http.server.watch import Watch
from gateway.settings.server import ConnectionSettings
from gateway.telemetry.metrics import Metrics
from tests.support.listener import echo, statuses

INNER = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
OFFERS = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\n",
    b"UPGRADE: TLS/1.0\r\nConnection: keep-alive\r\nCONNECTION: UPGRADE\r\n",
    b"Upgrade: foo/2, bar\r\nConnection: keep-alive, Upgrade\r\n",
)
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.out = b""
        self.closed = False
        self.half_closed = False

    def write(self, data: Any) -> None:
        assert not self.half_closed
        self.out += data

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def connection(metrics: Metrics, **limits: Any) -> tuple[Connection, Wire]:
    config = uvicorn.Config(echo, loop="none", ws="none", lifespan="off", log_config=None)
    config.load()
    config.loaded_app = echo
    loop = asyncio.get_running_loop()
    watch = Watch(ConnectionSettings(**limits), 65, 10, metrics, 1, loop.time())
    made, wire = Connection(config, ServerState(), {}, loop, watch=watch), Wire()
    made.connection_made(wire)
    return made, wire


async def answers(metrics: Metrics, *parts: bytes, count: int) -> bytes:
    made, wire = connection(metrics)
    for part in parts:
        if part and not wire.closed:
            made.data_received(part)
        await asyncio.sleep(0)
    for _ in range(50):
        if wire.closed or wire.out.count(b"HTTP/1.1 ") >= count:
            break
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return wire.out


def chunked(body: bytes) -> bytes:
    half = len(body) // 2
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])]
    return b"".join(parts) + b"0\r\n\r\n"


def bodies(answer: bytes) -> list[dict[str, Any]]:
    return [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("body", [b"", b'{"texts":["hi"]}', INNER], ids=["none", "json", "request"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_an_upgrade_is_ignored_wherever_it_is_cut(
    offer: bytes, body: bytes, framing: str
) -> None:
    if framing == "length":
        framed = b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        framed = b"Transfer-Encoding: chunked\r\n\r\n" + (chunked(body) if body else b"0\r\n\r\n")
    first = b"POST /first HTTP/1.1\r\nHost: a\r\n" + offer + framed
    whole, metrics = first + first + LAST, Metrics()
    for cut in range(len(first) + 3):
        seen = bodies(await answers(metrics, whole[:cut], whole[cut:], count=3))
        assert [one["path"] for one in seen] == ["/first", "/first", "/last"], cut
        assert [one["body"] for one in seen] == [body.decode(), body.decode(), ""], cut


async def test_an_upgrade_in_single_bytes() -> None:
    first = b"PUT /a HTTP/1.1\r\nHost: a\r\n" + OFFERS[0] + b"Content-Length: 3\r\n\r\nabc"
    out = await answers(Metrics(), *(bytes([byte]) for byte in first + LAST), count=2)
    assert [(one["path"], one["body"]) for one in bodies(out)] == [("/a", "abc"), ("/last", "")]


async def test_an_upgrade_without_a_body_leaves_the_next_request_alone() -> None:
    out = await answers(
        Metrics(), b"GET /a HTTP/1.1\r\nHost: a\r\n" + OFFERS[1] + b"\r\n" + LAST, count=2
    )
    assert [one["path"] for one in bodies(out)] == ["/a", "/last"]


@pytest.mark.parametrize("offer", [b"", OFFERS[0]], ids=["plain", "upgrade"])
async def test_nothing_follows_a_request_that_closes(offer: bytes) -> None:
    close = b"Connection: close\r\n"
    first = b"POST /a HTTP/1.1\r\nHost: a\r\n" + offer + close + b"Content-Length: 2\r\n\r\nab"
    out = await answers(Metrics(), first + INNER, count=2)
    assert [one["path"] for one in bodies(out)] == ["/a"]
    assert b"connection: close" in out


async def test_trailers_are_no_headers_of_this_request_or_the_next() -> None:
    first = (
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;why=not\r\nab\r\n0\r\nX-Api-Key: secret\r\nHost: b\r\n\r\n"
    )
    whole = first + LAST
    for cut in range(60, len(first) + 2):
        out = await answers(Metrics(), whole[:cut], whole[cut:], count=2)
        for one in bodies(out):
            assert [name for name, _ in one["headers"]] in (
                ["host", "transfer-encoding"],
                ["host"],
            ), cut


async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    good = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    out = await answers(Metrics(), good + good + b"nonsense\r\n\r\n", count=3)
    assert statuses(out) == [200, 200, 400]
    half = b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    out = await answers(Metrics(), good + half, count=2)
    assert statuses(out) == [200, 400]


async def test_few_requests_wait_behind_another() -> None:
    made, wire = connection(Metrics())
    made.data_received(LAST * 5000)
    assert len(made.pipeline) < 100
    for _ in range(2000):
        await asyncio.sleep(0)
    found = statuses(wire.out)
    assert found[-1] == 503
    assert set(found[:-1]) == {200}
    assert wire.half_closed
