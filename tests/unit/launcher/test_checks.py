from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.settings import load_settings
from launcher import checks
from launcher.errors import LauncherError


def test_a_taken_port_names_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LauncherError, match=rf"port {port} .* change text\.port"):
            checks.check_ports({"text.port": ("127.0.0.1", port)})


def test_numpy_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.importlib.metadata, "version", lambda name: "2.1.0")
    with pytest.raises(LauncherError, match="numpy<2"):
        checks.check_numpy()


def test_old_libc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.os, "confstr", lambda name: "glibc 2.31")
    with pytest.raises(LauncherError, match=r"glibc 2\.35"):
        checks.check_libraries()


def test_triton_must_be_where_the_gateway_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENTAD_EMBEDDED__GRPC_PORT", "9999")
    assert "127.0.0.1:9999" in checks.check_address(load_settings(environ={}))
    monkeypatch.setenv("PENTAD_TRITON__URL", "localhost:9999")
    assert "localhost:9999" in checks.check_address(load_settings(environ={}))
    for elsewhere in ("127.0.0.1:8001", "unix:/run/other/triton:8001"):
        monkeypatch.setenv("PENTAD_TRITON__URL", elsewhere)
        with pytest.raises(LauncherError, match=r"triton\.url"):
            checks.check_address(load_settings(environ={}))
    monkeypatch.delenv("PENTAD_EMBEDDED__GRPC_PORT")
    assert "unix:/run/other" in checks.check_address(load_settings(environ={}))
    monkeypatch.setenv("PENTAD_TRITON__URL", "127.0.0.1:8001")
    with pytest.raises(LauncherError, match=r"leave triton\.url out"):
        checks.check_address(load_settings(environ={}))


def test_a_socket_that_somebody_listens_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "triton:8001"
    monkeypatch.setenv("PENTAD_TRITON__URL", f"unix:{file}")
    assert "is free" in checks.check_socket(load_settings(environ={}))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(file))
        assert "is free" in checks.check_socket(load_settings(environ={})), "a dead one's"
        listener.listen()
        with pytest.raises(LauncherError, match="another Triton answers"):
            checks.check_socket(load_settings(environ={}))


def test_checks_follow_what_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def names(**options: bool) -> list[str]:
        return [name for name, _ in checks.all_checks(load_settings(environ={}), **options)]

    assert names() == [
        "ports",
        "address",
        "socket",
        "numpy",
        "libraries",
        "shared memory",
        "memory",
        "GPU",
    ]
    monkeypatch.setenv("PENTAD_TRITON__START", "false")
    assert names() == ["ports"]
    assert "libraries" in names(gateway=False)
