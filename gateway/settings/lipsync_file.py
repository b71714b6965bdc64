"""Reads the config.yaml of the replaced lip-sync server as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.settings.yaml_file import read_yaml

SECTIONS: dict[str, frozenset[str]] = {
    "server": frozenset({"port", "max_message_size_mb", "worker_count_per_gpu", "queue_size"}),
    "gpus": frozenset(
        {"enabled", "count", "memory_gb_per_gpu", "assignment_strategy", "allow_multi_gpu_models"}
    ),
    "capacity": frozenset(
        {"max_models", "max_memory_gb", "eviction_policy", "idle_timeout_minutes"}
    ),
    "onnx": frozenset(
        {"library_path", "cuda_streams_per_worker", "intra_op_threads", "inter_op_threads"}
    ),
    "logging": frozenset({"level", "log_inference_times", "log_gpu_utilization"}),
}
"""Keys the old server had by section; it ignored all others, and so does this reader."""
TENANT_KEYS = frozenset({"model_path", "preload", "preferred_gpu"})


def old_values(file: Path) -> dict[str, Any]:
    """Return the old file's values as a tree of the section `lipsync`.

    Raises:
        ValueError: not readable, or not a mapping of sections.
    """
    values = read_yaml(file)
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold a mapping of sections")
    tree: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        tree[section] = _only(keys, values.get(section))
    if values.get("models_root"):
        tree["models_root"] = values["models_root"]
    models = values.get("models") or {}
    if not isinstance(models, dict):
        raise ValueError(f"models of {file} must be a mapping of tenants")
    tree["models"] = {str(name): _only(TENANT_KEYS, entry) for name, entry in models.items()}
    return tree


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return both trees as one; ``above`` wins where both have a value."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def _only(keys: frozenset[str], section: Any) -> dict[str, Any]:
    if not isinstance(section, Mapping):
        return {}
    return {key: section[key] for key in keys & section.keys() if section[key] is not None}
