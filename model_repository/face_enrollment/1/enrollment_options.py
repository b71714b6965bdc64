"""What a request may wish otherwise than the model's configuration. Pure Python."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import NamedTuple

from enrollment_refusals import RefusedError
from face_search import SearchOptions

_NAMES = {
    "detection_side": ("detection_side", int),
    "face": ("rule", str),
    "min_face": ("min_face", int),
    "variants": ("varied", bool),
}
"""Parameters of the model that a request may set: field of `SearchOptions`, and type."""


class Chosen(NamedTuple):
    """How one request is answered.

    Attributes:
        search: How its pictures are searched.
        strict: Whether a bad picture refuses it.
        unit: Whether the vector has unit length, else that of the mean.
    """

    search: SearchOptions
    strict: bool
    unit: bool = True


def chosen(wishes: bytes, options: SearchOptions, strict: bool) -> Chosen:
    """What one request wishes.

    Args:
        wishes: JSON object; keys are names of the model's parameters: `detection_side`, `face`,
            `min_face`, `variants` and `strict`; beside them `unit`.
        options: The model's own.
        strict: The model's own.

    Raises:
        RefusedError: `options_invalid`: no such object, or a value that cannot be.
    """
    try:
        wanted = json.loads(wishes)
        strict = _typed(wanted.pop("strict", strict), bool)
        unit = _typed(wanted.pop("unit", True), bool)
        fields = {_NAMES[name][0]: _typed(wanted[name], _NAMES[name][1]) for name in wanted}
        return Chosen(replace(options, **fields), strict, unit)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError("options_invalid", "no JSON object of known options") from error


def _typed(value: object, kind: type) -> object:
    if type(value) is not kind:  # a bool is an int too
        raise TypeError
    return value
