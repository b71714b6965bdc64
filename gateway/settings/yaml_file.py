"""Reads one YAML file that a person wrote, and expands `${NAME}` and `${NAME:-default}` in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# What PyYAML raises beside its own errors, e.g. ValueError for the 31st of February.
_PARSER_ERRORS = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def read_yaml(file: Path) -> Any:
    """Return what the file holds; None where it is empty.

    Raises:
        ValueError: it cannot be read or is no YAML; the message says why, without its contents.
    """
    try:
        return parse_yaml(file.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None


def parse_yaml(raw: bytes) -> Any:
    """Return what the bytes of a file hold; None where it is empty.

    Raises:
        ValueError: the rest of a sentence about the file, such as `is nested too deeply`.
    """
    try:
        return yaml.safe_load(raw.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start + 1})") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is not valid YAML{_where(error)}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except _PARSER_ERRORS:
        raise ValueError("has a number or a date that cannot be") from None


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", "") or "")
    if mark is None:
        return ""
    tab = ": indent with spaces, not with tabs" if "'\\t'" in problem else ""
    return f" (line {mark.line + 1}, column {mark.column + 1}){tab}"


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
