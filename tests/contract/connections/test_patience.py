"""Slow but honest connections are waited for, and those that read or ask nothing end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.listener import (
    Running,
    echo,
    listening,
    read_all,
    read_answer,
    send_until_closed,
    statuses,
)

SECONDS = 1.0  # of every limit here
LARGE = 32 * 2**20
START = b"GET /a HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """``/large`` is more than the kernel keeps for a reader; ``/events`` goes on for 3 limits."""
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(LARGE // 2**16):
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(6):
            await asyncio.sleep(SECONDS / 2)
            event = b"data: %d\n\n" % number
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await echo(scope, receive, send)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with listening(
        application,
        keep_alive_seconds=2,
        head_seconds=SECONDS,
        stall_seconds=SECONDS,
        linger_seconds=SECONDS,
        min_bytes_per_second=1000,
    ) as found:
        yield found


def test_a_slow_honest_body_is_read(running: Running) -> None:
    parts = [b"a" * 500] * 20
    begin = POST + b"Connection: close\r\nContent-Length: 10000\r\n\r\n"
    began = time.monotonic()
    assert statuses(running.talk(begin, *parts, pause=0.2)) == [200]
    assert time.monotonic() - began > 3 * SECONDS


def test_a_client_that_waits_for_100_is_not_the_slow_one(running: Running) -> None:
    head = b"POST /slow/2.5 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
    with running.connect() as sock:
        sock.sendall(head + b"Content-Length: 3\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"abc")
        assert statuses(read_all(sock)) == [200]


def test_a_body_that_the_application_does_not_take_is_waited_for(running: Running) -> None:
    begin = b"POST /slow/2.5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    begin += b"Content-Length: 3000000\r\n\r\n"
    assert statuses(running.talk(begin, bytes(3_000_000))) == [200]


def test_long_work_and_streams_go_on(running: Running) -> None:
    slow = b"GET /slow/3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert statuses(running.talk(slow)) == [200]
    events = running.talk(b"GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert events.count(b"data: ") == 6


def test_an_idle_connection_ends(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(START + b"\r\n")
        assert read_answer(sock)[0] == 200
        began = time.monotonic()
        assert read_all(sock) == b""
        assert time.monotonic() - began > 1


def test_blank_lines_keep_nothing_open(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(START + b"\r\n")
        assert read_answer(sock)[0] == 200
        assert send_until_closed(sock, b"\r\n", pause=0.05) < 1000


@pytest.mark.parametrize("path", [b"/large", b"/early/413"])
def test_who_never_reads_is_let_go(running: Running, path: bytes) -> None:
    with running.connect() as sock:
        request = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        sock.sendall(request)
        connections = running.listener.server_state.connections
        running.wait_for(lambda: bool(connections))
        running.wait_for(lambda: not connections)
    if path == b"/large":
        assert running.ended("answer_stalled") >= 1


def test_a_slow_reader_gets_everything(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        found, step = 0, LARGE // 25
        while part := sock.recv(step, socket.MSG_WAITALL):
            found += len(part)
            time.sleep(0.15)
    assert found > LARGE
