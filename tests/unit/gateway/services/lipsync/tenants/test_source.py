"""The catalogue follows its files while the gateway runs."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.services.lipsync.tenants.source import SETTLE_SECONDS, CatalogueSource
from gateway.settings import ConfigError, load_settings

OLD = """
server: {port: ":50051", max_message_size_mb: 100, worker_count_per_gpu: 8, queue_size: 50}
gpus: {enabled: true, count: 2, memory_gb_per_gpu: 24, assignment_strategy: least-loaded,
       allow_multi_gpu_models: false}
capacity: {max_models: 40, max_memory_gb: 20, eviction_policy: lru, idle_timeout_minutes: 60}
onnx: {library_path: "C:/onnxruntime.dll", cuda_streams_per_worker: 2, intra_op_threads: 4}
logging: {level: info, log_inference_times: true}
models_root: /models
models:
  sanders: {model_path: sanders/model.onnx, preload: true, preferred_gpu: 1}
  other: {model_path: /far/other.onnx}
unknown_section: {x: 1}
"""


def touch(file: Path, text: str) -> None:
    """Write, and let the file look changed however coarse the clock is."""
    file.write_text(text)
    later = file.stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))


def test_the_old_servers_file_is_used_as_it_is(tmp_path: Path) -> None:
    old, own = tmp_path / "old.yaml", tmp_path / "config.yaml"
    old.write_text(OLD)
    own.write_text(f"lipsync: {{config: {old}, capacity: {{max_models: 41}}}}")
    settings = load_settings(own, {}).lipsync
    assert settings.port == 50051
    assert settings.server.worker_count_per_gpu == 8
    assert settings.server.queue_size == 50
    assert settings.server.max_message_size_mb == 100
    assert settings.gpus.assignment_strategy == "least-loaded"
    assert settings.device_models == ("lipsync", "lipsync_1")
    assert settings.capacity.eviction_policy == "lru"
    assert settings.capacity.idle_timeout_minutes == 60
    assert settings.capacity.max_models == 41  # what Pentad's own file says holds
    assert settings.logging.log_inference_times
    assert not settings.uses_demo
    found = {entry.tenant: entry for entry in CatalogueSource(load_settings(own, {})).look()}
    assert found["sanders"].file == Path("/models/sanders/model.onnx")
    assert (found["sanders"].preload, found["sanders"].preferred) == (True, 1)
    assert (found["other"].file, found["other"].preferred) == (Path("/far/other.onnx"), None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("models: [a, b]", "mapping of tenants"),
        ("- 1", "mapping of sections"),
        ("models: {a: {preload: true}}", "model_path"),
        ("models: {a/b: {model_path: x}}", "no tenant id"),
        ("models: {a: {model_path: x, preferred_gpu: 3}}", "gpus.count is 1"),
        ("gpus: {assignment_strategy: random}", "assignment_strategy"),
        ("{", "not valid YAML"),
    ],
)
def test_a_wrong_old_file_is_explained(tmp_path: Path, text: str, complaint: str) -> None:
    old, own = tmp_path / "old.yaml", tmp_path / "config.yaml"
    old.write_text(text)
    own.write_text(f"lipsync: {{config: {old}}}")
    with pytest.raises(ConfigError, match=complaint):
        load_settings(own, {})


def test_changes_of_either_file_are_noticed(tmp_path: Path) -> None:
    old, own = tmp_path / "old.yaml", tmp_path / "config.yaml"
    touch(old, "models: {a: {model_path: /a.onnx}}")
    own.write_text(f"lipsync: {{config: {old}, models: {{b: {{model_path: /b.onnx}}}}}}")
    source = CatalogueSource(load_settings(own, {}))
    first = source.look()
    assert [entry.tenant for entry in first] == ["a", "b"]
    assert source.look() is first
    touch(old, "models: {a: {model_path: /a.onnx}, new: {model_path: /new.onnx}}")
    assert {entry.tenant for entry in source.look()} == {"a", "b", "new"}
    touch(own, f"lipsync: {{config: {old}}}")
    assert {entry.tenant for entry in source.look()} == {"a", "new"}


def test_an_invalid_change_leaves_what_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "config.yaml"
    own.write_text("lipsync: {models: {a: {model_path: /a.onnx}}, models_root: /root}")
    source = CatalogueSource(load_settings(own, {}))
    first = source.look()
    escape = "lipsync: {models_root: /root, models: {a: {model_path: ../a.onnx}}}"
    for text in ("lipsync: {models: {a: {}}}", "{", "lipsync: {models: 3}", escape):
        touch(own, text)
        with caplog.at_level(logging.ERROR):
            assert source.look() is first
        assert caplog.records[-1].getMessage() == "configuration not reloaded"
        caplog.clear()
    own.write_text("lipsync: {models: {b: {model_path: /b.onnx}}}")
    assert [entry.tenant for entry in source.look(force=True)] == ["b"]


def test_other_changes_are_said_to_need_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "config.yaml"
    own.write_text("lipsync: {models: {a: {model_path: /a.onnx}}}")
    source = CatalogueSource(load_settings(own, {}))
    source.look()
    touch(own, "lipsync: {models: {a: {model_path: /a.onnx}}, capacity: {max_models: 3}}")
    with caplog.at_level(logging.WARNING):
        source.look()
    assert "need a restart" in caplog.text


def test_files_dropped_into_the_folder_become_tenants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folder = tmp_path / "config.yaml", tmp_path / "watched"
    own.write_text(f"lipsync: {{watch_folder: {folder}}}")
    source = CatalogueSource(load_settings(own, {}))
    assert len(source.look()) == 0
    folder.mkdir()
    file = folder / "fresh.onnx"
    file.write_bytes(b"half")
    begin = source_time(monkeypatch, 100.0)
    assert "fresh" not in source.look()
    file.write_bytes(b"half and more")  # still growing
    source_time(monkeypatch, begin + 1.5)
    source.look()
    source_time(monkeypatch, begin + 3.0)
    assert "fresh" not in source.look()
    source_time(monkeypatch, begin + 1.5 + SETTLE_SECONDS)
    assert "fresh" in source.look()
    file.unlink()
    assert "fresh" not in source.look()


def test_the_demo_is_a_watched_folder(tmp_path: Path) -> None:
    own = tmp_path / "config.yaml"
    own.write_text(f"paths: {{state: {tmp_path}}}")
    settings = load_settings(own, {})
    folder = settings.lipsync.demo_folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "tenant_0001.onnx").write_bytes(b"x")
    os.utime(folder / "tenant_0001.onnx", (1, 1))
    assert [entry.tenant for entry in CatalogueSource(settings).look()] == ["tenant_0001"]
    assert settings.lipsync.audio_encoder_model == "audio_encoder"


def source_time(monkeypatch: pytest.MonkeyPatch, moment: float) -> float:
    """Set the clocks that the source sees; to the wall clock every file is from the future."""
    clocks = SimpleNamespace(monotonic=lambda: moment, time=lambda: 0.0)
    monkeypatch.setattr("gateway.services.lipsync.tenants.source.time", clocks)
    return moment
