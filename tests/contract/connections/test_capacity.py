"""More connections than a port may hold."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.listener import Running, listening, read_all, statuses

CAPACITY = 20
START = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
BUSY = b"GET /slow/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def running() -> Iterator[Running]:
    with listening(capacity=CAPACITY, linger_seconds=0.8) as found:  # sweeps every 0.2 s
        yield found


def several(stack: ExitStack, running: Running, count: int, sent: bytes) -> list[socket.socket]:
    made = [stack.enter_context(running.connect()) for _ in range(count)]
    for sock in made:
        sock.sendall(sent)
    return made


def test_above_the_capacity_503_is_said_and_work_goes_on(running: Running) -> None:
    with ExitStack() as stack:
        busy = several(stack, running, CAPACITY, BUSY)
        running.wait_for(lambda: len(running.listener.server_state.tasks) == CAPACITY)
        refused = several(stack, running, 40, START + b"\r\n")
        answers = []
        for sock in refused:
            try:
                answers.append(read_all(sock))
            except ConnectionError:
                answers.append(b"")
        told = [answer for answer in answers if answer]
        assert len(told) >= 10
        for answer in told:
            assert statuses(answer) == [503]
            assert b"\r\nretry-after: 2\r\n" in answer
            assert b"connection: close" in answer
        assert running.ended("full") == 40
        assert [statuses(read_all(sock)) for sock in busy] == [[200]] * CAPACITY
    assert statuses(running.talk(START + b"\r\n")) == [200]


@pytest.mark.parametrize("sent", [b"", b"G", START], ids=["silent", "a byte", "half a head"])
def test_those_that_ask_nothing_make_room(running: Running, sent: bytes) -> None:
    with ExitStack() as stack:
        several(stack, running, 3 * CAPACITY, sent)
        running.wait_for(lambda: len(running.listener.server_state.connections) >= CAPACITY)

        def answered() -> bool:
            try:
                return statuses(running.talk(START + b"\r\n")) == [200]
            except ConnectionError:
                return False

        running.wait_for(answered)
        assert running.ended("made_room") >= 1


def test_open_connections_are_counted(running: Running) -> None:
    gauge = running.metrics.connections.labels(running.port)._value
    with ExitStack() as stack:
        several(stack, running, 7, b"")
        running.wait_for(lambda: gauge.get() == 7)
    running.wait_for(lambda: gauge.get() == 0)
