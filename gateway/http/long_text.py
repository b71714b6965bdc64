"""Strings that are too long to be one object: pictures and clips in base64.

To make one ``str`` of 64 MiB is one call into C that nobody can interrupt. Such a string stays in
parts, and only the fields that are read part by part take it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import WrapValidator

LONGEST = 4 * 2**20
"""Bytes of a string that may be anything; only fields in base64 take more."""


class LongText:
    """A text in parts.

    It has no iterator and no items, so that nobody, pydantic least of all, takes it for a list.

    Attributes:
        parts: ASCII, in order.
    """

    __slots__ = ("_length", "parts")

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = parts
        self._length = sum(map(len, parts))

    def start(self, count: int) -> str:
        """Return the first characters."""
        text = ""
        for part in self.parts:
            text += part[: count - len(text)]
            if len(text) == count:
                break
        return text

    def __len__(self) -> int:
        return self._length


def _kept(value: Any, handler: Callable[[Any], Any]) -> Any:
    return value if isinstance(value, LongText) else handler(value)


LONG = WrapValidator(_kept)
"""Annotates a field that takes a :class:`LongText`, whatever else it takes."""

if TYPE_CHECKING:
    Base64Text = str | LongText
else:
    Base64Text = Annotated[str, LONG]
"""A field in base64; in the API document a string like any other."""
