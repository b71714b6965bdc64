from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.settings import ConfigError, Settings, load_settings
from launcher import checks
from launcher.options import options_from

PORTS = "embedded: {http_port: 8000, grpc_port: 8001}"
"""Triton's ports as they were by default before it listened at a socket."""


def loaded(tmp_path: Path, **variables: str) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text(variables.pop("yaml", f"{{{PORTS}}}"))
    return load_settings(file, {**variables})


def test_an_old_configuration_file_is_valid_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(
        "server: {node_id: gpu-node-1, host: 0.0.0.0, port: 8000, workers: 1}\n"
        "asset_service: {callback_url: 'http://127.0.0.1:9009/v1/vton/result'}\n"
    )
    settings = loaded(tmp_path, CONFIG_PATH=str(old))
    assert settings.tryon.server.port == 8000
    assert settings.embedded.http_port == 8003
    assert settings.moved == ("embedded.http_port is 8003, as tryon.server.port is 8000",)
    assert options_from(settings, "default").http_port == 8003
    assert checks.check_address(settings)
    monkeypatch.setenv("CONFIG_PATH", str(old))
    assert main(["--config", str(tmp_path / "config.yaml"), "config", "--check"]) == 0
    said = capsys.readouterr().out
    assert "valid" in said
    assert "embedded.http_port is 8003" in said


def test_triton_s_addresses_follow(tmp_path: Path) -> None:
    settings = loaded(tmp_path, yaml=f"{{{PORTS}, server: {{port: 8001}}, text: {{port: 8002}}}}")
    assert (settings.embedded.grpc_port, settings.embedded.metrics_port) == (8003, 8004)
    assert settings.triton.url == "127.0.0.1:8003"
    assert loaded(tmp_path, yaml="{text: {port: 8002}}").embedded.metrics_port == 8003
    assert settings.triton.metrics_url == "http://127.0.0.1:8004/metrics"
    assert checks.check_address(settings)
    assert len(settings.moved) == 2


def test_the_next_port_is_nobody_s(tmp_path: Path) -> None:
    public = "server: {port: 8000}, text: {port: 8003}, iot: {port: 8004}, vision: {port: 8005}"
    yaml = f"{{{PORTS}, {public}}}"
    assert loaded(tmp_path, yaml=yaml).embedded.http_port == 8006
    settings = loaded(tmp_path, yaml="{server: {port: 65535}, embedded: {http_port: 65535}}")
    assert settings.embedded.http_port == 1024


@pytest.mark.parametrize(
    "yaml",
    [
        "",
        "triton: {start: false}, tryon: {server: {port: 8000}}",  # no Triton here
        "services: [text], tryon: {server: {port: 8000}}",  # not listened on
        "tryon: {server: {port: null}}",
    ],
)
def test_nothing_moves_without_need(tmp_path: Path, yaml: str) -> None:
    settings = loaded(tmp_path, yaml=f"{{{PORTS}, {yaml}}}")
    assert settings.embedded.http_port == 8000
    assert settings.moved == ()


@pytest.mark.parametrize(
    ("yaml", "names"),
    [
        ("{server: {port: 5000}}", ("server.port", "iot.port")),
        ("{tryon: {server: {port: 8765}}}", ("text.port", "tryon.server.port")),
        ("{lipsync: {server: {port: ':8090'}}}", ("lipsync.server.port", "vision.port")),
        ("{embedded: {http_port: 7, grpc_port: 7}}", ("embedded.http_port", "embedded.grpc_port")),
    ],
)
def test_two_settings_with_one_port_are_named(
    tmp_path: Path, yaml: str, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as found:
        loaded(tmp_path, yaml=yaml)
    assert all(name in str(found.value) for name in names)
    assert main(["--config", str(tmp_path / "config.yaml"), "config", "--check"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in names)


def test_the_checks_know_every_port(tmp_path: Path) -> None:
    ports = dict(checks._ports(loaded(tmp_path), triton=True, gateway=True))
    assert [name for name in ports if not name.startswith("embedded.")] == [
        "server.port", "iot.port", "lipsync.server.port", "text.port", "tryon.server.port",
        "vision.port",
    ]  # fmt: skip
