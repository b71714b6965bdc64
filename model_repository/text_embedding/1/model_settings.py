"""A model's parameters: those of config.pbtxt, and over them the installation's. No Triton."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

FILE = "settings.json"
"""Beside model.py: parameters that the installation sets, in place of config.pbtxt's."""


def parameters(args: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of config.pbtxt.

    Args:
        args: Of the model's `initialize`.
    """
    config = json.loads(args["model_config"])
    return {key: item["string_value"] for key, item in config["parameters"].items()}


def version_folder(args: Mapping[str, str]) -> Path:
    """Return the folder of model.py; `args` as of `parameters`."""
    return Path(args["model_repository"], args["model_version"])


def installed(folder: Path) -> dict[str, str]:
    """Return the parameters that the installation sets; none where `folder` has no FILE."""
    file = folder / FILE
    if not file.is_file():
        return {}
    settings: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return settings


def number(parameters: Mapping[str, str], name: str, least: int = 0) -> int:
    """Return a whole number.

    Raises:
        KeyError: The parameter is missing.
        ValueError: It is no number, or less than `least`.
    """
    value = int(parameters[name])
    if value < least:
        raise ValueError(f"{name} is {value}, less than {least}")
    return value


def flag(parameters: Mapping[str, str], name: str) -> bool:
    """Return a parameter that is true or false.

    Raises:
        KeyError: The parameter is missing.
        ValueError: It is neither.
    """
    return one_of(parameters, name, ("true", "false")) == "true"


def one_of(parameters: Mapping[str, str], name: str, known: Collection[str]) -> str:
    """Return a parameter that is one of several words.

    Raises:
        KeyError: The parameter is missing.
        ValueError: It is none of them.
    """
    value = parameters[name]
    if value not in known:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(map(repr, known))}")
    return value
