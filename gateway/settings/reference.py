"""Write the reference in docs/configuration.md from the settings themselves."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.settings.tree import Settings


def reference() -> str:
    """Return a Markdown table of every key with its default and meaning."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {default} | {text} |" for key, default, text in _rows(Settings, "")]
    return "\n".join(lines)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _rows(kind, f"{prefix}{name}.")
        else:
            text = field.description or _docstrings(model).get(name, "")
            yield f"{prefix}{name}", _default(field), " ".join(text.split())


@cache
def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a section's attributes, those of its bases included."""
    docstrings: dict[str, str] = {}
    for kind in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        (section,) = ast.parse(dedent(inspect.getsource(kind))).body
        for attribute, text in pairwise(section.body if isinstance(section, ast.ClassDef) else ()):
            match attribute, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as words)),
                ):
                    docstrings[name] = words
    return docstrings


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, dict) and any(isinstance(item, BaseModel) for item in value.values()):
        return ", ".join(f"`{key}`" for key in value)
    if value is None:
        return "none"
    return f"`{json.dumps(value, default=str)}`"
