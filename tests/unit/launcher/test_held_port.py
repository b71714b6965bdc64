"""The launcher holds the port of a gRPC server that is killed and started again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from gateway.sockets import ListenError, bind
from launcher.held_port import HeldPort
from launcher.server import free_ports
from tests.support.knocker import Knocker
from tests.support.waiting import PATIENCE, wait_for

SERVER = """
import sys, time, grpc
from concurrent.futures import ThreadPoolExecutor
def echo(request, context):
    return request * int(sys.argv[2])
handler = grpc.unary_unary_rpc_method_handler(echo)
server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 1)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Echo": handler}),))
assert server.add_insecure_port(sys.argv[1])
server.start()
print("up", flush=True)
time.sleep(600)
"""


class Counting(HeldPort):
    """Counts what it passes on."""

    passed = 0

    async def _pass_on(self, *streams: Any) -> None:
        self.passed += 1
        await super()._pass_on(*streams)


@contextlib.contextmanager
def server(address: str, times: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A gRPC server that repeats what it is told; the block begins when it listens."""
    command = [sys.executable, "-c", SERVER, address, str(times)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        try:
            yield process
        finally:
            process.kill()


def echo(address: str, data: bytes) -> bytes:
    """Ask over a connection of its own."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        return bytes(channel.unary_unary("/t.T/Echo")(data, timeout=PATIENCE))


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def held(request: pytest.FixtureRequest) -> Iterator[Counting]:
    holder = Counting(request.param, *free_ports(1))
    if not holder.open():
        pytest.skip("this kernel has no programs that choose between sockets of a port")
    yield holder
    holder.close()


def test_no_connection_is_refused_around_a_kill(held: Counting) -> None:
    address = f"{held._host}:{held._port}"
    here = f"127.0.0.1:{held._port}"
    answers: list[bytes] = []
    with contextlib.ExitStack() as stack:
        with server(address) as first:
            knocker = stack.enter_context(Knocker("127.0.0.1", held._port))
            assert echo(here, b"a") == b"a"
            wait_for(lambda: knocker.outcomes["accepted"] > 20)
            assert held.passed == 0
            first.kill()
            first.wait()
        waiting = threading.Thread(target=lambda: answers.append(echo(here, b"b" * 100_000)))
        waiting.start()
        wait_for(lambda: held.passed > 20)
        assert not answers
        with server(address, times=2):
            waiting.join(PATIENCE)
            assert answers == [b"b" * 200_000]  # of the new server, over the old wait
            time.sleep(0.2)
            passed = held.passed
            for _ in range(20):
                assert echo(here, b"c") == b"cc"
            assert held.passed == passed  # everything goes straight to the server again
    assert set(knocker.outcomes) == {"accepted"}


def test_a_taken_port_is_an_error_though_it_could_be_shared() -> None:
    (port,) = free_ports(1)
    with bind("127.0.0.1", port, 8), pytest.raises(ListenError, match=f":{port}: .*in use"):
        HeldPort("127.0.0.1", port).open()
    with socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", port))
        shared.listen()
        with pytest.raises(ListenError):
            HeldPort("127.0.0.1", port).open()


def test_after_its_end_connections_are_refused() -> None:
    (port,) = free_ports(1)
    held = HeldPort("127.0.0.1", port)
    if not held.open():
        pytest.skip("this kernel has no programs that choose between sockets of a port")
    waiting = socket.create_connection(("127.0.0.1", port), 5)
    held.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    waiting.settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        assert waiting.recv(1) == b""
    waiting.close()
