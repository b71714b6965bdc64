"""Reads protobuf's text format, as far as config.pbtxt uses it."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[\w.+-]+|[][{}:,;<>]')

_CLOSING = {"{": "}", "<": ">"}


def parse(text: str) -> dict[str, list[Any]]:
    """Return every field as the list of its values: dicts for messages, strings for scalars.

    Raises:
        ValueError: The text ends in the middle of a message or list.
    """
    tokens = [token for token in _TOKEN.findall(text) if not token.startswith("#")]
    tokens = [token for token in tokens if token not in (":", ";")]
    tokens.reverse()
    return _message(tokens, closing=None)


def _message(tokens: list[str], closing: str | None) -> dict[str, list[Any]]:
    fields: dict[str, list[Any]] = {}
    while tokens:
        name = tokens.pop()
        if name == closing:
            return fields
        if name != ",":
            fields.setdefault(name, []).extend(_values(tokens))
    if closing:
        raise ValueError(f"'{closing}' is missing")
    return fields


def _values(tokens: list[str]) -> list[Any]:
    if not tokens:
        raise ValueError("a value is missing")
    token = tokens.pop()
    if token == "[":  # noqa: S105
        values = []
        while tokens and tokens[-1] != "]":
            if tokens[-1] == ",":
                tokens.pop()
            else:
                values += _values(tokens)
        if not tokens:
            raise ValueError("']' is missing")
        tokens.pop()
        return values
    if token in _CLOSING:
        return [_message(tokens, _CLOSING[token])]
    return [token[1:-1] if token[0] in "\"'" else token]
