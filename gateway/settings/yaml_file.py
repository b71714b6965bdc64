"""Reads one YAML file that a person wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_yaml(file: Path) -> Any:
    """Return what the file holds; None where it is empty.

    Raises:
        ValueError: it cannot be read or is no YAML; the message says why, without its contents.
    """
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 (byte {error.start + 1})") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not valid YAML{_where(error)}") from None
    except RecursionError:
        raise ValueError(f"{file} is nested too deeply") from None
    except ValueError:  # such as the 31st of February
        raise ValueError(f"{file} has a number or a date that cannot be") from None


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", "") or "")
    if mark is None:
        return ""
    tab = ": indent with spaces, not with tabs" if "'\\t'" in problem else ""
    return f" (line {mark.line + 1}, column {mark.column + 1}){tab}"
