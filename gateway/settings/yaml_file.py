"""Reads YAML that people write: whatever is wrong with a file becomes one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# What PyYAML raises beside its own errors, e.g. ValueError for the date 2024-02-31.
_PARSER_ERRORS = (
    ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError,
)  # fmt: skip


def read_yaml(file: Path) -> Any:
    """Return what a file holds.

    Raises:
        ValueError: unreadable, not UTF-8 or not YAML; the message names the file and quotes nothing
            of it.
    """
    try:
        return parse_yaml(file.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None


def parse_yaml(raw: bytes) -> Any:
    """Return what the bytes of a file hold.

    Raises:
        ValueError: a sentence without its subject, such as `is not UTF-8`.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"is not valid YAML{where}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except _PARSER_ERRORS:
        raise ValueError("is not valid YAML: a value in it, e.g. a date, is impossible") from None
