"""Connections that only wait end in time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.listener import (
    Running,
    listening,
    read_all,
    send_until_closed,
    statuses,
)

SECONDS = 1.0  # of every limit here
START = b"GET /a HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with listening(
        keep_alive_seconds=2,
        head_seconds=SECONDS,
        stall_seconds=SECONDS,
        linger_seconds=SECONDS,
        min_bytes_per_second=1000,
    ) as found:
        yield found


def dripping(running: Running, begin: bytes, part: bytes) -> bytes:
    with running.connect() as sock:
        sock.sendall(begin)
        if not part:
            return read_all(sock)
        sender = threading.Thread(target=send_until_closed, args=(sock, part, 0.05))
        sender.start()
        out = read_all(sock)
        sock.close()
        sender.join()
    return out


CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 100000\r\n\r\n"
# What is sent at once, what then drips, and what comes of it.
WAITING = {
    "nothing": (b"", b"", [], "silent"),
    "blank line": (b"\r\n", b"", [], "silent"),
    "one byte": (b"G", b"", [408], "head_timeout"),
    "half a head": (START, b"", [408], "head_timeout"),
    "half a header": (START + b"X: ", b"", [408], "head_timeout"),
    "a head by bytes": (START + b"X: ", b"y", [408], "head_timeout"),
    "a head by headers": (START, b"X: y\r\n", [408], "head_timeout"),
    "a second head": (START + b"\r\n" + START, b"", [200, 408], "head_timeout"),
    "no body": (POST + b"Content-Length: 5\r\n\r\n", b"", [408], "body_timeout"),
    "a body by bytes": (POST + b"Content-Length: 100000\r\n\r\n", b"a", [408], "body_timeout"),
    "chunks by bytes": (CHUNKS, b"1\r\na\r\n", [408], "body_timeout"),
    "extensions": (CHUNKS, b"1;" + b"x" * 200 + b"\r\na\r\n", [408], "body_timeout"),
    "after an upgrade": (UPGRADE, b"a", [408], "body_timeout"),
    "trailers": (CHUNKS + b"1\r\na\r\n0\r\n", b"X: y\r\n", [408], "body_timeout"),
    "an empty chunked body": (CHUNKS, b"", [408], "body_timeout"),
}


def test_who_only_waits_is_let_go(running: Running) -> None:
    """All at once, as they come in an attack; an honest client is answered meanwhile."""
    reasons = [reason for *_, reason in WAITING.values()]
    before = {reason: running.ended(reason) for reason in reasons}
    with ThreadPoolExecutor(len(WAITING)) as pool:
        ends = {
            name: pool.submit(dripping, running, begin, part)
            for name, (begin, part, *_) in WAITING.items()
        }
        assert statuses(running.talk(START + b"Connection: close\r\n\r\n")) == [200]
        found = {name: statuses(end.result()) for name, end in ends.items()}
    assert found == {name: answer for name, (_, _, answer, _) in WAITING.items()}
    after = {reason: running.ended(reason) - count for reason, count in before.items()}
    assert after == Counter(reasons)
