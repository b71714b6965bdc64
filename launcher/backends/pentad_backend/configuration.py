"""Reads a model configuration (the JSON form of config.pbtxt)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .tensors import LoadError

Config = Mapping[str, Any]


def parameter(config: Config, key: str) -> str | None:
    """Return the string value of a parameter, or None when it is not set."""
    entry = (config.get("parameters") or {}).get(key)
    return None if entry is None else str(entry.get("string_value", ""))


def int_parameter(config: Config, key: str, default: int = 0) -> int:
    """Return a parameter that must be a non-negative number.

    Raises:
        LoadError: It is something else.
    """
    text = parameter(config, key)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise LoadError(f"the parameter '{key}' must be a non-negative number, got '{text}'")
    return value


def bool_parameter(config: Config, key: str) -> bool | None:
    """Return a parameter that must be 0, 1, true or false; None when it is not set.

    Raises:
        LoadError: It is something else.
    """
    text = parameter(config, key)
    if text is None:
        return None
    if text.lower() in {"1", "true"}:
        return True
    if text.lower() in {"0", "false"}:
        return False
    raise LoadError(f"the parameter '{key}' must be 0, 1, true or false, got '{text}'")


def max_batch_size(config: Config) -> int:
    """`max_batch_size`, 0 for a model without batching."""
    return int(config.get("max_batch_size") or 0)


def dims(io: Config) -> list[int]:
    """Dimensions that the graph must have: those of `reshape` where it is given."""
    reshape = io.get("reshape")
    shape = reshape.get("shape", []) if reshape is not None else io["dims"]
    return [int(size) for size in shape]


def refuse_unsupported(config: Config) -> None:
    """Refuses what the C++ backends can do and these cannot.

    Raises:
        LoadError: Sequence batching, ragged batches, or a decoupled model.
    """
    if config.get("sequence_batching"):
        raise LoadError("sequence_batching is not supported by this embedded backend")
    if config.get("batch_input") or config.get("batch_output"):
        raise LoadError("batch_input and batch_output are not supported by this embedded backend")
    if any(io.get("allow_ragged_batch") for io in config.get("input") or []):
        raise LoadError("allow_ragged_batch is not supported by this embedded backend")
    if (config.get("model_transaction_policy") or {}).get("decoupled"):
        raise LoadError("a decoupled transaction policy is not supported by this backend")


def model_file(config: Config, version_folder: Path, default: str) -> Path:
    """Path of the model: `default_model_filename`, or `default`, in the version folder.

    `cc_model_filenames` names files for GPUs by compute capability and does not concern a CPU.

    Raises:
        LoadError: There is none.
    """
    path = version_folder / (config.get("default_model_filename") or default)
    if path.is_dir() and (path / default).exists():
        path = path / default
    if not path.exists():
        name = config.get("name", "")
        raise LoadError(
            f"unable to find '{version_folder.name}/{path.name}' for model instance '{name}'"
        )
    return path
