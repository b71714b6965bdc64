"""Which values of `Host` are answered without a key."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.security.hosts import KnownHosts
from gateway.settings import ConfigError, load_settings
from gateway.settings.server import ServerSettings

OURS = [
    "localhost", "LocalHost", "localhost.", "localhost:9000", "localhost.:1", "127.0.0.1",
    "127.0.0.1:65535", "127.0.0.1:", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[0::1]:5000",
]  # fmt: skip
FOREIGN = [
    "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:9000", "", " ",
    "localhost..", ".localhost", "xlocalhost", "a@localhost", "localhost@evil.example",
    "localhost,evil.example", "localhost evil", "localhost/evil", "http://localhost", "::1",
    "[::1", "[localhost]", "[::1]evil", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01",
    "localhost:evil", "localhost:9000:1", "[::ffff:127.0.0.1]", "0.0.0.0", "127.0.0.2",
    "192.168.1.5", "l\u00f6calhost", "localhost\x00", "localhost\n", "a" * 70_000,
]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_loopback_has_these_names(host: str) -> None:
    assert host in KnownHosts(ServerSettings())


@pytest.mark.parametrize("host", FOREIGN)
def test_and_no_others(host: str) -> None:
    assert host not in KnownHosts(ServerSettings())
    assert host not in KnownHosts(ServerSettings(host="::1"))


def test_the_servers_own_address() -> None:
    lan = KnownHosts(ServerSettings(host="192.168.1.5"))
    assert "192.168.1.5:8080" in lan
    assert "192.168.1.6" not in lan
    assert "[FD00::1]:80" in KnownHosts(ServerSettings(host="fd00:0::1"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_addresses_but_no_foreign_name(host: str) -> None:
    everywhere = KnownHosts(ServerSettings(host=host))
    for own in ("192.168.1.5:8080", "[fd00::1]", "0.0.0.0", socket.gethostname(), "localhost"):
        assert own in everywhere, own
    for name in ("evil.example", "192.168.1.5.nip.io", "999.1.1.1", "1.2.3"):
        assert name not in everywhere, name


def test_further_names(tmp_path: Path) -> None:
    more = KnownHosts(ServerSettings(allowed_hosts=["Pentad.Lan", "*.gpu.lan", "fd00::7"]))
    for host in ("pentad.lan.", "PENTAD.LAN:9000", "a.gpu.lan", "b.a.GPU.lan:1", "[fd00::7]:5"):
        assert host in more, host
    for host in ("gpu.lan", "agpu.lan", "pentad.lan.evil.example", "x.pentad.lan"):
        assert host not in more, host
    assert "evil.example" in KnownHosts(ServerSettings(allowed_hosts=["*"]))
    file = tmp_path / "config.yaml"
    file.write_text("server: {allowed_hosts: ['http://pentad.lan']}")
    with pytest.raises(ConfigError, match=r"server\.allowed_hosts"):
        load_settings(file, {})
