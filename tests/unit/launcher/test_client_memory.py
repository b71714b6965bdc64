"""The option for client shared memory: given where tritonserver has it, never where it has not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.settings.lipsync import LipsyncSettings
from launcher import options as module
from launcher.layout import Wheel, environment, find_wheel
from launcher.options import ServerOptions, client_memory, command_line, options_from

USAGE = """\
Usage: tritonserver [options]
  --allow-grpc <boolean>
\tAllow the server to listen for GRPC requests.
  --allow-client-shm <boolean>
\tAllow clients to register and use shared-memory regions. Default is
\tfalse.
"""
"""As the servers of release 26.04 and later have it."""


def server(folder: Path, body: str) -> Path:
    """An executable that stands for another release of tritonserver."""
    file = folder / "tritonserver"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(("wanted", "value"), [(True, "true"), (False, "false")])
@pytest.mark.parametrize("stream", [1, 2])
def test_a_server_that_has_the_option_gets_it(
    tmp_path: Path, wanted: bool, value: str, stream: int
) -> None:
    newer = server(tmp_path, f"cat >&{stream} <<'EOF'\n{USAGE}EOF\nexit 1")
    assert client_memory(wanted, newer, {}) == (f"--allow-client-shm={value}",)


def test_the_embedded_server_has_not() -> None:
    wheel = find_wheel()
    assert client_memory(True, wheel.server, environment(wheel)) == ()
    options = ServerOptions(Path("m"), socket=Path("/run/t:1"), client_memory=True)
    line = command_line(options, wheel, Path("b"), "p-", environment(wheel))
    assert not [part for part in line if "shm=" in part]


def test_the_option_stands_in_the_command_line(tmp_path: Path) -> None:
    newer = server(tmp_path, f"cat <<'EOF'\n{USAGE}EOF\nexit 1")
    wheel = Wheel(newer, tmp_path, tmp_path, tmp_path, tmp_path)
    for wanted in (True, False):
        options = ServerOptions(Path("m"), socket=Path("/run/t:1"), client_memory=wanted)
        line = command_line(options, wheel, Path("b"), "p-", {})
        assert f"--allow-client-shm={str(wanted).lower()}" in line


def test_it_is_open_for_what_uses_it_alone() -> None:
    def opened(services: list[str], transport: str) -> bool:
        lipsync = LipsyncSettings(transport=transport)  # type: ignore[arg-type]
        settings = Settings(services=services, lipsync=lipsync)  # type: ignore[arg-type]
        return options_from(settings, "default").client_memory

    assert opened(["lipsync"], "auto")
    assert opened(["lipsync", "text"], "shared_memory")
    assert not opened(["lipsync"], "grpc")
    assert not opened(["text"], "shared_memory")


def test_a_server_that_cannot_say_starts_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client_memory(True, tmp_path / "none", {}) == ()
    (tmp_path / "text").write_text("no program")
    assert client_memory(True, tmp_path / "text", {}) == ()
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)
    begin = time.monotonic()
    assert client_memory(True, server(tmp_path, "exec sleep 60"), {"PATH": "/bin:/usr/bin"}) == ()
    assert time.monotonic() - begin < 30
