"""Reads the tree: defaults < config.yaml < old environment variables < PENTAD_* variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.settings.keys import explain_key
from gateway.settings.legacy import LEGACY, legacy_values
from gateway.settings.old_files import merged, sections
from gateway.settings.ports import with_ports_apart
from gateway.settings.tree import Settings
from gateway.settings.yaml_file import expand

PREFIX = "PENTAD_"
CONFIG_VARIABLE = "PENTAD_CONFIG"
_SANE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}\Z")


class ConfigError(Exception):
    """The configuration is wrong; the message says which key and why, without its value."""


def load_settings(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Return the validated configuration.

    Args:
        path: YAML file; default ``$PENTAD_CONFIG``, else ``config.yaml`` if there is one.
        environ: variables to use instead of the process's own (for ``${VAR}`` and old names).

    Raises:
        ConfigError: unreadable file, unknown key, undefined ``${VAR}``, invalid value, or one port
            for two purposes.
    """
    env = os.environ if environ is None else environ
    chosen = path or env.get(CONFIG_VARIABLE)
    file = Path(chosen or "config.yaml")
    try:
        values = sections(file, empty={}) if chosen or os.path.lexists(file) else {}
        values = {str(key): value for key, value in expand(values, env).items()}
        if unknown := _unknown_variables(env):
            raise ConfigError(f"unknown environment variables: {', '.join(unknown)}")
        settings = Settings(**merged(values, legacy_values(env)))
        settings, settings._moved = with_ports_apart(settings)
    except ValidationError as error:
        raise ConfigError(_explain(error, env)) from None
    except ValueError as error:  # of a variable that is not valid JSON, too
        raise ConfigError(str(error)) from None
    settings._file = file
    return settings


def _unknown_variables(env: Mapping[str, str]) -> list[str]:
    """PENTAD_* variables that name nothing in the tree: a typo must not pass silently."""
    names = [name for name in env if name.upper().startswith(PREFIX) and name != CONFIG_VARIABLE]
    return sorted(name for name in names if not _known(name[len(PREFIX) :].lower().split("__")))


def _known(path: list[str]) -> bool:
    model: Any = Settings
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            if part not in model.model_fields:
                return False
            model = model.model_fields[part].annotation
        elif get_origin(model) is dict:
            model = get_args(model)[1]
        else:
            return False
    return True


def _explain(error: ValidationError, env: Mapping[str, str]) -> str:
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(_sentence(item, env) for item in problems)


def _sentence(problem: ErrorDetails, env: Mapping[str, str]) -> str:
    loc = problem["loc"]
    if loc[:2] == ("security", "keys") and len(loc) > 2:
        return f"security.keys.{loc[2]}: {explain_key(loc[3:], problem)}"
    if problem["type"] == "extra_forbidden" and not _SANE_NAME.match(str(loc[-1])):
        loc = (*loc[:-1], "…")  # `api_key:secret` without a blank is such a name
    words = problem["msg"].removeprefix("Value error, ")
    if not loc:
        return words
    where = ".".join(str(part) for part in loc)
    old = next((name for name, place in LEGACY.items() if place == loc and env.get(name)), None)
    source = f" (from the environment variable {old})" if old else ""
    return f"{where}{source}: {words}"
