from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gateway.security import KeyRing
from gateway.settings import ConfigError, Settings, load_settings
from gateway.settings.old_files import tryon_values
from gateway.settings.tryon import TryonSettings

OLD = """
server: {node_id: node-9, host: 0.0.0.0, port: 8000, workers: 1}
security: {internal_auth_token: "${TOKEN}", require_auth: false}
asset_service:
  callback_url: "${ASSETS:-http://assets:9009}/v1/vton/result"
  internal_auth_token: asset-token
  timeout: 10
  retries: 3
  retry_backoff: [1, 2, 4]
load_balancer: {url: "http://lb:9005", internal_auth_token: lb-token}
model: {model_type: qwen, device: cuda, default_mode: lora, default_steps: 4, default_seed: 7,
        default_cfg: 1.0, default_resolution: odd, enable_teacache: true, teacache_thresh: 0.02,
        nobody_knows: 1}
workflow:
  preprocess: {resize_to_resolution: true, maintain_aspect_ratio: false}
  postprocess: {create_comparison: true, compress_output: true}
  advanced: {warmup_on_startup: false, clear_cache_between_jobs: false}
logging: {level: INFO, format: "%(message)s"}
unknown: {a: b}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "old.yaml"
    file.write_text(text)
    return file


def test_the_old_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret-of-the-node")
    found = TryonSettings(config=write(tmp_path, OLD))
    assert (found.server.node_id, found.port) == ("node-9", 8000)
    assert found.security.internal_auth_token.get_secret_value() == "secret-of-the-node"
    assert found.security.require_auth is False
    assert found.asset_service.callback_url == "http://assets:9009/v1/vton/result"
    assert found.asset_service.retry_backoff == [1, 2, 4]
    assert found.load_balancer.url == "http://lb:9005"
    assert (found.model.default_mode, found.model.default_seed) == ("lora", 7)
    assert found.model.default_resolution == "720p"  # the old server's answer to an unknown word
    assert found.workflow.postprocess.compress_output is True
    assert found.workflow.advanced.warmup_on_startup is False


def test_own_values_win_over_the_old_file(tmp_path: Path) -> None:
    file = write(tmp_path, "server: {node_id: old, port: 8000}\n")
    found = TryonSettings(config=file, server={"node_id": "new"})  # type: ignore[arg-type]
    assert (found.server.node_id, found.port) == ("new", 8000)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "mapping"), (":\n:", "YAML"), ("server: {node_id: '${NOT_SET_ANYWHERE}'}", "not set")],
)
def test_unusable_old_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tryon_values(write(tmp_path, text), {})
    with pytest.raises(ValueError, match="cannot read"):
        tryon_values(tmp_path / "none.yaml", {})


def test_an_empty_old_file_changes_nothing(tmp_path: Path) -> None:
    assert tryon_values(write(tmp_path, "")) == {}


def test_documented_defaults() -> None:
    found = TryonSettings()
    assert (found.server.node_id, found.port, found.security.require_auth) == (
        "gpu-node-1", 8080, True,
    )  # fmt: skip
    asset, balancer = found.asset_service, found.load_balancer
    assert (asset.callback_url, asset.timeout, asset.retries) == ("", 10, 3)
    assert (balancer.url, balancer.timeout) == ("", 5)
    assert (found.model.default_mode, found.model.default_seed) == ("fp8", 42)
    assert found.jobs.queue_size == 0


@pytest.mark.parametrize(
    "values",
    [{"asset_service": {"callback_url": "ftp://x"}}, {"load_balancer": {"url": "//x"}},
     {"asset_service": {"callback_url": "http://user:pw@x/"}}, {"jobs": {"queue_size": -1}},
     {"model": {"default_steps": 51}}, {"nobody_knows": 1}, {"model": {"engine": "remote"}},
     {"model": {"remote": {"url": "http://user:pw@x/v1"}}}, {"model": {"remote": {"url": "x"}}}],
)  # fmt: skip
def test_refused_values(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TryonSettings(**values)


def test_variables_of_the_old_start_script(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("{}")
    found = load_settings(
        file,
        {
            "GPU_NODE_ID": "n", "INCOMING_AUTH_TOKEN": "old-token-1",
            "RESULT_CALLBACK_URL": "http://a/v1", "RESULT_CALLBACK_AUTH_TOKEN": "old-token-2",
            "JOB_COMPLETE_CALLBACK_URL": "http://b", "LOAD_BALANCER_AUTH_TOKEN": "old-token-3",
        },
    ).tryon  # fmt: skip
    assert found.server.node_id == "n"
    assert found.security.internal_auth_token.get_secret_value() == "old-token-1"
    assert found.asset_service.callback_url == "http://a/v1"
    assert found.load_balancer.url == "http://b"
    assert found.load_balancer.internal_auth_token.get_secret_value() == "old-token-3"


def test_the_old_variable_for_the_file(tmp_path: Path) -> None:
    main = tmp_path / "config.yaml"
    main.write_text("tryon: {server: {port: 8088}}")
    old = write(tmp_path, "server: {node_id: old, port: 1}\nload_balancer: {url: 'http://lb'}")
    found = load_settings(main, {"CONFIG_PATH": str(old)}).tryon
    assert (found.server.node_id, found.port, found.load_balancer.url) == ("old", 8088, "http://lb")
    named = load_settings(main, {"CONFIG_PATH": str(old), "GPU_NODE_ID": "n"}).tryon
    assert named.server.node_id == "n"


@pytest.mark.parametrize(
    "text", ["server: {port: 5000}\nmodels: {embedding: {backend: deepface}}", ":\n:", "[]", None]
)
def test_that_variable_of_another_server(tmp_path: Path, text: str | None) -> None:
    main = tmp_path / "config.yaml"
    main.write_text("{}")
    other = tmp_path / "other.yaml"
    if text is not None:
        other.write_text(text)
    found = load_settings(main, {"CONFIG_PATH": str(other)}).tryon
    assert (found.config, found.port) == (None, 8080)


def test_variables_in_the_main_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"tryon": {"load_balancer": {"url": "${LB:-http://lb}"}}}))
    assert load_settings(file, {}).tryon.load_balancer.url == "http://lb"
    file.write_text(yaml.safe_dump({"tryon": {"load_balancer": {"url": "${LB}"}}}))
    with pytest.raises(ConfigError, match=r"\$\{LB\}"):
        load_settings(file, {})


def test_one_process_per_node() -> None:
    with pytest.raises(ValidationError, match="workers must be 1"):
        Settings(services=["tryon"], server={"workers": 2})  # type: ignore[arg-type]


def test_the_token_is_a_key_of_tryon_alone() -> None:
    token = {"security": {"internal_auth_token": "token-of-tryon"}}
    keys = KeyRing(Settings(tryon=token, text={"api_key": "key-of-text"}))  # type: ignore[arg-type]
    assert keys.authorize("tryon", "token-of-tryon") == "tryon-internal-auth-token"
    with pytest.raises(Exception, match="forbidden"):
        keys.authorize("text", "token-of-tryon")
    with pytest.raises(Exception, match="unauthorized"):
        keys.authorize("tryon", "token-of-other")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    url = "postgresql+psycopg://user:hidden-1@host/db"
    file.write_text(
        yaml.safe_dump(
            {
                "tryon": {
                    "jobs": {"database_url": url},
                    "security": {"internal_auth_token": "hidden-2"},
                    "asset_service": {"webhook_secrets": ["whsec_aGlkZGVu"]},
                }
            }
        )
    )
    shown = yaml.safe_dump(load_settings(file, {}).model_dump(mode="json"))
    for secret in ("hidden-1", "hidden-2", "aGlkZGVu"):
        assert secret not in shown
