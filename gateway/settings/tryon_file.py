"""Reads the config.yaml of the replaced try-on server as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.settings.yaml_file import expand, read_yaml

KEYS: dict[str, Any] = {
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
"""Keys the old server had by section; it ignored all others, and so does this reader."""
OWN_SECTIONS = {"asset_service", "load_balancer", "workflow"}
"""Sections that no other replaced server had."""


def old_values(file: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the old file's values as a tree of the section `tryon`, `${VAR}` expanded.

    Raises:
        ValueError: not readable, not a mapping of sections, or a variable is not set.
    """
    values = read_yaml(file)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold a mapping of sections")
    return _only(KEYS, expand(values, environ))


def is_old_file(file: Path) -> bool:
    """Whether there is such a file and it has a section that only this server's file had."""
    try:
        values = read_yaml(file)
    except ValueError:
        return False
    return isinstance(values, dict) and not OWN_SECTIONS.isdisjoint(values)


def _only(known: Any, values: Any) -> dict[str, Any]:
    """Return what ``values`` has of the known keys, sections of sections included."""
    if not isinstance(values, Mapping):
        return {}
    section = {key: values[key] for key in known if values.get(key) is not None}
    if isinstance(known, dict):
        return {key: _only(known[key], value) for key, value in section.items()}
    return section
