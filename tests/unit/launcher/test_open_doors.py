"""What `make check` and every start say of doors that are open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.settings import Settings, load_settings
from gateway.settings.server import SecuritySettings
from gateway.settings.telemetry import TelemetrySettings
from gateway.settings.triton import EmbeddedSettings, PathSettings, TritonSettings
from launcher import leftovers
from launcher.open_doors import open_doors


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(leftovers, "SHM", tmp_path / "shm")
    (tmp_path / "state").mkdir(mode=0o700)


def said(tmp_path: Path, **sections: object) -> str:
    paths = PathSettings(state=tmp_path / "state")
    return "\n".join(open_doors(Settings(paths=paths, **sections), triton=True))  # type: ignore[arg-type]


def certificates(folder: Path) -> TritonSettings:
    (folder / "key").touch(0o600)
    return TritonSettings(
        tls_ca_file=folder / "ca", tls_certificate_file=folder / "ca", tls_key_file=folder / "key"
    )


def test_nothing_is_open_by_default(tmp_path: Path) -> None:
    assert said(tmp_path) == ""


def test_ports_are_named_with_who_reaches_them(tmp_path: Path) -> None:
    ports = EmbeddedSettings(grpc_port=8001, http_port=8000)
    found = said(tmp_path, embedded=ports)
    assert "every user of this machine can run code" in found
    assert "embedded.grpc_port 8001" in found
    assert "embedded.http_port 8000" in found
    wide = EmbeddedSettings(host="10.0.0.7", grpc_port=8001)
    found = said(tmp_path, embedded=wide)
    assert "whoever reaches 10.0.0.7 can run code" in found
    assert "metrics" in found
    closed = said(tmp_path, embedded=ports, triton=certificates(tmp_path))
    assert "grpc_port" not in closed


@pytest.mark.parametrize(
    ("url", "open_"),
    [
        ("gpu:8001", True),
        ("dns:///t.prod.svc:8001", True),
        ("127.0.0.1:8001", False),
        ("unix:/run/x/triton:8001", False),
        ("127.0.0.1:8001,gpu:8001", True),
    ],
)
def test_a_triton_elsewhere_is_asked_in_the_open(tmp_path: Path, url: str, open_: bool) -> None:
    services = ["text"]
    triton = TritonSettings(start=False, url=url)
    paths = PathSettings(state=tmp_path / "state")
    settings = Settings(services=services, triton=triton, paths=paths)  # type: ignore[arg-type]
    found = "\n".join(open_doors(settings, triton=False))
    assert ("unencrypted" in found) is open_
    assert "127.0.0.1" not in found


def test_files_with_secrets_that_others_can_read(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.touch()
    keys.chmod(0o644)
    security = SecuritySettings(keys_file=keys)
    assert f"security.keys_file ({keys})" in said(tmp_path, security=security)
    keys.chmod(0o640)  # a mounted secret is its group's, which is ours alone
    assert said(tmp_path, security=security) == ""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"paths: {{state: {tmp_path / 'state'}}}\n"
        "security: {keys: [{name: app, key: a-long-secret}]}\n"
    )
    config.chmod(0o644)
    found = "\n".join(open_doors(load_settings(config, {}), triton=True))
    assert "holds keys" in found
    assert "a-long-secret" not in found


def test_a_password_in_an_argument_is_told_without_it(tmp_path: Path) -> None:
    telemetry = TelemetrySettings(otlp_endpoint="http://user:hush-hush@collector:4318")
    found = said(tmp_path, telemetry=telemetry)
    assert "telemetry.otlp_endpoint" in found
    assert "hush-hush" not in found


def test_open_shared_memory_is_told(tmp_path: Path) -> None:
    region = tmp_path / "shm" / "pentad-1-2-3-0-abc"
    region.touch()
    region.chmod(0o644)
    assert "1 regions" in said(tmp_path)
    region.chmod(0o600)
    assert said(tmp_path) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_that_is_not_ours_to_close_is_told(tmp_path: Path) -> None:
    jobs = tmp_path / "state" / "tryon"
    jobs.mkdir(mode=0o755)
    os.chown(jobs, 65534, 65534)
    assert f"{jobs} is open to other users" in said(tmp_path)
