"""`${NAME}` and `${NAME:-default}` in the values of a configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """Return ``value`` with the variables in all its strings replaced.

    Raises:
        ValueError: a variable without default is not set, or the value contains itself.
    """
    try:
        return _expanded(value, environ)
    except RecursionError:
        raise ValueError("the configuration is nested too deeply") from None


def _expanded(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, environ) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name in environ:
            return environ[name]
        if default is None:
            raise ValueError(f"${{{name}}} is used in the configuration but not set")
        return str(default)

    return _VARIABLE.sub(replace, value)
