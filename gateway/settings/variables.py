"""`${NAME}` and `${NAME:-default}` in the values of a configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """Return ``value`` with the variables in all its strings replaced.

    Raises:
        ValueError: a variable without default is not set.
    """
    if isinstance(value, dict):
        return {key: expand(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environ) for item in value]
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
