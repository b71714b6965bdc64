"""Sockets that were handed over, and those that are opened here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import sockets
from gateway.settings import Settings
from launcher.server import free_ports
from tests.support.gateway import settings_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    main, text = free_ports(2)
    server = {"port": main}
    return settings_for(tmp_path, services=["text"], server=server, text={"port": text})


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def close(found: dict[int, list[socket.socket]]) -> None:
    for group in found.values():
        for sock in group:
            sock.close()


def test_ports_that_were_not_given_are_opened(settings: Settings) -> None:
    given = sockets.bind("127.0.0.1", settings.server.port, 5)
    found = sockets.listening(settings, [given])
    assert found[settings.server.port] == [given]
    (text,) = found[settings.text.port or 0]
    assert text.getsockname() == ("127.0.0.1", settings.text.port)
    assert not text.get_inheritable()
    close(found)


def test_a_socket_of_no_setting_is_refused(settings: Settings, listener: socket.socket) -> None:
    with pytest.raises(ValueError, match=rf"server\.port {settings.server.port}, text\.port"):
        sockets.listening(settings, [listener])


def test_a_socket_opens_no_more_than_the_configuration(settings: Settings) -> None:
    with (
        sockets.bind("0.0.0.0", settings.server.port, 5) as given,
        pytest.raises(ValueError, match=r"listens on 0\.0\.0\.0, but server\.host is 127"),
    ):
        sockets.listening(settings, [given])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_what_is_meant_for_others_is_not_taken(environment: dict[str, str]) -> None:
    assert sockets.activated(environment, os.getpid()) == []
    assert not environment


@pytest.mark.parametrize("count", ["x", "-1", "²", "1e3", "9999999999"])
def test_a_wrong_number_is_refused(count: str) -> None:
    environment = {"LISTEN_FDS": count, "LISTEN_PID": "7"}
    with pytest.raises(ValueError, match="LISTEN_FDS"):
        sockets.activated(environment, 7)


def test_only_listening_tcp_sockets_are_taken(tmp_path: Path, listener: socket.socket) -> None:
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    silent = socket.socket()
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "local"))
    local.listen()
    for descriptor in (file, silent.fileno(), local.fileno(), 10_000):
        with pytest.raises(ValueError, match=f"descriptor {descriptor}"):
            sockets.adopted([descriptor])
    copy = os.dup(listener.fileno())
    (taken,) = sockets.adopted([copy])
    assert taken.getsockname() == listener.getsockname()
    assert not os.get_inheritable(copy)
    for one in (taken, silent, local):
        one.close()
    os.close(file)


def test_a_taken_port_is_named(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(sockets.ListenError, match=f"127.0.0.1:{port}: Address already in use"):
        sockets.bind("127.0.0.1", port, 5)
