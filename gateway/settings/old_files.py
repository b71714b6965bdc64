"""Reads the config.yaml of the replaced lip-sync and try-on servers as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.settings.yaml_file import expand, read_yaml

LIPSYNC: dict[str, Any] = {
    "server": {"port", "max_message_size_mb", "worker_count_per_gpu", "queue_size"},
    "gpus": {
        "enabled", "count", "memory_gb_per_gpu", "assignment_strategy", "allow_multi_gpu_models",
    },
    "capacity": {"max_models", "max_memory_gb", "eviction_policy", "idle_timeout_minutes"},
    "onnx": {"library_path", "cuda_streams_per_worker", "intra_op_threads", "inter_op_threads"},
    "logging": {"level", "log_inference_times", "log_gpu_utilization"},
}  # fmt: skip
"""Keys the old server had by section; it ignored all others, and so does this reader."""
TENANT = {"model_path", "preload", "preferred_gpu"}
"""Keys of a tenant of the lip-sync server."""
TRYON: dict[str, Any] = {
    "server": {"node_id", "host", "port", "workers"},
    "security": {"internal_auth_token", "require_auth"},
    "asset_service": {
        "callback_url", "internal_auth_token", "timeout", "retries", "retry_backoff",
    },
    "load_balancer": {"url", "internal_auth_token"},
    "model": {
        "model_type", "model_version", "model_path", "device", "default_mode", "default_steps",
        "default_seed", "default_cfg", "default_resolution", "enable_teacache", "teacache_thresh",
    },
    "workflow": {
        "preprocess": {"resize_to_resolution", "maintain_aspect_ratio"},
        "postprocess": {"create_comparison", "compress_output"},
        "advanced": {"warmup_on_startup", "clear_cache_between_jobs"},
    },
    "logging": {"level", "format"},
}  # fmt: skip
"""As `LIPSYNC`, of the try-on server."""
TRYON_SECTIONS = {"asset_service", "load_balancer", "workflow"}
"""Sections that no other replaced server had."""


def lipsync_values(file: Path) -> dict[str, Any]:
    """Return the old file's values as a tree of the section `lipsync`.

    Raises:
        ValueError: not readable, or not a mapping of sections.
    """
    values = sections(file)
    tree = {section: _only(keys, values.get(section)) for section, keys in LIPSYNC.items()}
    if values.get("models_root"):
        tree["models_root"] = values["models_root"]
    models = values.get("models") or {}
    if not isinstance(models, dict):
        raise ValueError(f"models of {file} must be a mapping of tenants")
    tree["models"] = {str(name): _only(TENANT, entry) for name, entry in models.items()}
    return tree


def tryon_values(file: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the old file's values as a tree of the section `tryon`, `${VAR}` expanded.

    Raises:
        ValueError: not readable, not a mapping of sections, or a variable is not set.
    """
    return _only(TRYON, expand(sections(file, empty={}), environ))


def is_tryon_file(file: Path) -> bool:
    """Whether there is such a file and it has a section that only the try-on server's file had."""
    try:
        return not TRYON_SECTIONS.isdisjoint(sections(file))
    except ValueError:
        return False


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return both trees as one; ``above`` wins where both have a value."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if not isinstance(value, dict):
            result[key] = value
        elif not old or isinstance(old, dict):  # anything else is wrong, and will be refused
            result[key] = merged(old or {}, value)
    return result


def sections(file: Path, empty: Any = None) -> dict[str, Any]:
    """Return what a file holds; ``empty`` where it is empty.

    Raises:
        ValueError: not readable, or not a mapping of sections.
    """
    values = read_yaml(file)
    values = empty if values is None else values
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold a mapping of sections")
    return values


def _only(known: Any, values: Any) -> dict[str, Any]:
    """Return what ``values`` has of the known keys, sections of sections included."""
    if not isinstance(values, Mapping):
        return {}
    section = {key: values[key] for key in known if values.get(key) is not None}
    if isinstance(known, dict):
        return {key: _only(known[key], value) for key, value in section.items()}
    return section
