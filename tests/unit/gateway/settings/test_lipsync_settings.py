"""The section `lipsync`: old forms, what is refused, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.settings import ConfigError, load_settings
from gateway.settings.reference import reference


def load(tmp_path: Path, text: str, **environ: str) -> Any:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load_settings(file, environ)


@pytest.mark.parametrize("port", ['":50052"', '"0.0.0.0:50052"', "50052", '"[::]:50052"'])
def test_the_port_in_its_old_forms(tmp_path: Path, port: str) -> None:
    assert load(tmp_path, f"lipsync: {{server: {{port: {port}}}}}").lipsync.port == 50052


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENTAD_LIPSYNC__SERVER__QUEUE_SIZE", "7")
    monkeypatch.setenv("PENTAD_LIPSYNC__MODELS__ANNA__MODEL_PATH", "/a.onnx")
    settings = load(tmp_path, "lipsync: {server: {queue_size: 9}}").lipsync
    assert settings.server.queue_size == 7
    assert settings.models["anna"].model_path == "/a.onnx"


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ("{server: {port: 0}}", "server.port"),
        ('{server: {port: "x:y"}}', "server.port"),
        ("{mask: [5, 5, 320, 305]}", "must lie in the frame"),
        ("{mask: [9, 5, 8, 305]}", "must lie in the frame"),
        ("{server: {tls: {certificate: a.pem}}}", "belong together"),
        ("{server: {tls: {client_ca: a.pem}}}", "client_ca needs"),
        ("{capacity: {eviction_policy: fifo}}", "eviction_policy"),
        ("{models: {..: {model_path: a}}}", "no tenant id"),
        ("{capcity: {}}", "capcity"),
        ("{config: /no/such/file.yaml}", "cannot read"),
        ("{separate_control_key: true}", "needs security.keys"),
    ],
)
def test_what_is_refused_is_named(tmp_path: Path, section: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path, f"lipsync: {section}")


def test_one_process_decides_on_tenants(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.workers must be 1"):
        load(tmp_path, "{services: [lipsync], server: {workers: 2}}")
    assert load(tmp_path, "{services: [text], server: {workers: 2}}").server.workers == 2


def test_the_demo_steps_aside_for_real_tenants(tmp_path: Path) -> None:
    for section, demo in (
        ("{}", True),
        ("{demo_tenants: 0}", False),
        ("{models: {a: {model_path: a.onnx}}}", False),
        ("{watch_folder: /x}", False),
    ):
        settings = load(tmp_path, f"lipsync: {section}").lipsync
        assert settings.uses_demo is demo
        assert (settings.audio_encoder_model is not None) is demo
        assert (settings.encoder_file(tmp_path) is not None) is demo
    encoder = load(tmp_path, "lipsync: {watch_folder: /x, audio_encoder: /e.onnx}").lipsync
    assert encoder.encoder_file(tmp_path) == Path("/e.onnx")
    assert encoder.audio_encoder_model == "audio_encoder"


def test_limits_follow_from_devices(tmp_path: Path) -> None:
    text = "lipsync: {gpus: {count: 3}, server: {worker_count_per_gpu: 2, queue_size: 5}}"
    settings = load(tmp_path, text).lipsync
    assert settings.device_models == ("lipsync", "lipsync_1", "lipsync_2")
    assert settings.max_concurrent == 3 * (2 + 16)
    assert settings.max_waiting == 15
    assert settings.loading_calls == 48


def test_every_old_key_is_in_the_reference() -> None:
    table = reference()
    for key in (
        "server.port", "server.max_message_size_mb", "server.worker_count_per_gpu",
        "server.queue_size", "gpus.enabled", "gpus.count", "gpus.memory_gb_per_gpu",
        "gpus.assignment_strategy", "gpus.allow_multi_gpu_models", "capacity.max_models",
        "capacity.max_memory_gb", "capacity.eviction_policy", "capacity.idle_timeout_minutes",
        "models_root", "models", "logging.level", "logging.log_inference_times",
        "logging.log_gpu_utilization", "onnx.intra_op_threads",
    ):  # fmt: skip
        assert f"| `lipsync.{key}` |" in table
