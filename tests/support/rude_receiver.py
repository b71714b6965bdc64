"""A receiver of callbacks below HTTP: it answers with any bytes, at any pace."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[socket.socket], None]
"""Writes what it wants; the connection is closed when it returns."""


def raw(data: bytes) -> Answer:
    """Answer with these bytes."""
    return lambda connection: connection.sendall(data)


def endless(head: bytes, more: bytes, pause: float = 0.0) -> Answer:
    """Answer with ``head``, then ``more`` and ``more`` until the client goes."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        wait = threading.Event()
        while True:
            connection.sendall(more)
            wait.wait(pause)

    return answer


@contextmanager
def rude_receiver(answer: Answer) -> Iterator[str]:
    """Listen on a free port for the block, and yield the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            received = connection.recv(65_536)
            while received.startswith(b"POST") and b"\r\n\r\n" not in received:  # else it is TLS
                received += connection.recv(65_536) or b"\r\n\r\n"
            answer(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
