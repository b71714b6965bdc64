"""Where the embedded Triton listens, which launcher and gateway work out each for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.health.processes import ModelProcesses
from gateway.settings import ConfigError, Settings, load_settings
from gateway.settings.socket_file import TEMPORARY, socket_address, socket_file, split
from gateway.settings.triton import EmbeddedSettings, PathSettings, TritonSettings


def test_it_is_in_the_state_folder_where_that_is_short_and_plain() -> None:
    assert socket_address(Path("/srv/pentad/var")) == "unix:/srv/pentad/var/triton/grpc:8001"


@pytest.mark.parametrize(
    "name", ["long" * 30, "with space", 'quo"te', "per%20cent", "Zoë", "a#b", "a,b"]
)
def test_other_folders_have_it_in_tmp(name: str) -> None:
    file = socket_file(socket_address(Path("/srv") / name))
    assert file is not None
    assert file.parent.parent == TEMPORARY / f"pentad-{os.geteuid()}"
    assert len(os.fsencode(file)) < 100
    other = socket_file(socket_address(Path("/srv") / f"{name}2"))
    assert other != file, "two installations have two"
    assert socket_file(socket_address(Path("/srv") / name)) == file


def test_triton_adds_the_port_itself() -> None:
    assert split(Path("/run/p/triton:8001")) == ("unix:/run/p/triton", 8001)
    with pytest.raises(ValueError, match="must end in a colon and a port"):
        split(Path("/run/p/triton"))


def test_the_address_follows_from_the_other_settings(tmp_path: Path) -> None:
    paths = PathSettings(state=tmp_path)
    assert Settings(paths=paths).triton.url == socket_address(tmp_path)
    embedded = EmbeddedSettings(host="0.0.0.0", grpc_port=9001)
    assert Settings(paths=paths, embedded=embedded).triton.url == "127.0.0.1:9001"
    elsewhere = Settings(paths=paths, triton=TritonSettings(start=False))
    assert elsewhere.triton.urls == ("127.0.0.1:8001",)
    named = Settings(triton=TritonSettings(url="unix:/run/p/triton:8001"))
    assert named.triton.urls == ("unix:/run/p/triton:8001",)
    assert not named.triton.several


def test_certificates_come_whole(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("triton: {tls_ca_file: ca.crt}\n")
    with pytest.raises(ConfigError, match="tls_key_file go together"):
        load_settings(file, {})


def test_processes_of_a_server_at_a_socket_are_on_this_machine() -> None:
    """One that is looked for in vain has none missing, as nothing is known of it."""
    assert ModelProcesses("unix:/nowhere/triton:8001").missing(["text_embedding"]) == []
