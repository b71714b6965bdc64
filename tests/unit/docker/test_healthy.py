"""The images' health check, against real servers: 200 is healthy, and nothing else."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.containers import DOCKER, DOCKERFILES, stages

SCRIPT = DOCKER / "healthy.sh"
Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[int]:
    """A port on which every connection is handed to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


def saying(text: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += connection.recv(4096)
        port = connection.getsockname()[1]
        assert request == f"GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        connection.sendall(text)

    return answer


def healthy(port: int) -> bool:
    made = subprocess.run(["/bin/bash", str(SCRIPT), str(port), "/readyz"], capture_output=True)
    assert made.returncode in (0, 1)
    assert made.stderr == b"", "it would fill the log of the health checks"
    return made.returncode == 0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.0 200\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2**20, True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n200", False),
        (b"HTTP/1.1 2000 OK\r\n\r\n", False),
        (b"HTTP/1.1 404 200\r\n\r\n", False),
        (b"\r\n", False),
        (b"", False),
    ],
)
def test_200_is_healthy(reply: bytes, expected: bool) -> None:
    with answering(saying(reply)) as port:
        assert healthy(port) is expected


def test_a_port_that_nobody_has_is_not() -> None:
    with answering(saying(b"")) as port:
        pass
    assert not healthy(port)


def test_a_server_that_is_silent_is_given_up() -> None:
    with answering(lambda connection: time.sleep(30)) as port:
        begin = time.monotonic()
        assert not healthy(port)
        assert time.monotonic() - begin < 20


def test_a_look_costs_next_to_nothing() -> None:
    """Every image is looked at every 10 s, for ever; a Python's start alone takes 50 ms of CPU."""
    looks = 20
    with answering(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert all(healthy(port) for _ in range(looks))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used / looks < 0.03


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_every_image_has_the_script_where_its_check_calls_it(dockerfile: Path) -> None:
    every = stages(dockerfile)
    (stage,) = (one for one in every if one.all("HEALTHCHECK"))
    assert "docker/healthy.sh healthy.sh" in stage.all("COPY")
    assert stage.all("WORKDIR") == ["/opt/pentad"]
    assert '"/opt/pentad/healthy.sh"' in stage.all("HEALTHCHECK")[0]
    assert SCRIPT.stat().st_mode & 0o111 == 0o111, "COPY keeps the mode"
