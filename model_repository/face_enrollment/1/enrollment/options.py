"""What a request may wish otherwise than the model's configuration. Pure Python."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from faces.search import SearchOptions

from enrollment.refusals import RefusedError

_NAMES = {
    "detection_side": ("detection_side", int),
    "extra_views": ("extra_views", int),
    "face": ("rule", str),
    "min_face": ("min_face", int),
    "quality": ("quality", str),
    "variants": ("varied", bool),
}
"""Parameters of the model that a request may set: field of `SearchOptions`, and type."""


@dataclass(frozen=True)
class Wishes:
    """How one request is worked on.

    Attributes:
        search: How its pictures are searched.
        strict: Whether one file that is no picture refuses it.
        consistency: Cosine to the others below which a picture shows somebody else; None where
            nobody knows one for the embedder.
        unit: Whether the vector has unit length, else that of the mean.
    """

    search: SearchOptions
    strict: bool
    consistency: float | None
    unit: bool = True


def chosen(wishes: bytes, usual: Wishes) -> Wishes:
    """Return what one request wants.

    Args:
        wishes: JSON object; keys are names of the model's parameters: `detection_side`, `face`,
            `min_face`, `variants`, `quality`, `extra_views` and `strict`, `consistency` and `unit`.
        usual: The model's own.

    Raises:
        RefusedError: `options_invalid`: no such object, or a value that cannot be.
    """
    try:
        wanted = json.loads(wishes)
        strict = _typed(wanted.pop("strict", usual.strict), bool)
        consistency = wanted.pop("consistency", usual.consistency)
        if consistency is not None and not -1 <= _typed(consistency, float) <= 1:
            raise ValueError("a cosine is between -1 and 1")
        unit = _typed(wanted.pop("unit", usual.unit), bool)
        fields = {_NAMES[name][0]: _typed(wanted[name], _NAMES[name][1]) for name in wanted}
        return Wishes(replace(usual.search, **fields), strict, consistency, unit)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError("options_invalid", "no JSON object of known options") from error


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:  # a bool is an int too
        raise TypeError
    return value
