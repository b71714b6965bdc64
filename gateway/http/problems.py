"""What is wrong with a request, told in a FastAPI server's words and in a bounded answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from gateway.errors import InvalidBodyError
from gateway.http.long_text import LONGEST, LongText

SHOWN = 20  # entries; what is left is counted by the last one
ROOM = 16 * 2**10 - 256  # bytes of all entries together
_NAME, _WORDS, _CONTEXT = 64, 300, 512  # characters of a field's name and a message, bytes of a ctx
_START = 100  # characters that are shown of a text that is not echoed
# Of JSON, however it was parsed; pydantic speaks of Python's types otherwise.
_TYPES = {
    "model_type": "Input should be an object",
    "dict_type": "Input should be an object",
    "list_type": "Input should be a valid array",
}

Problem = dict[str, Any]


def problem(kind: str, loc: Sequence[str | int], message: str, value: Any = None) -> Problem:
    """Return one entry of a 422 answer."""
    return {"type": kind, "loc": [*loc], "msg": message, "input": value}


def missing(*loc: str | int) -> InvalidBodyError:
    """Return the refusal of a body without a field; ``loc`` begins with `body`."""
    return InvalidBodyError([problem("missing", loc, "Field required")])


def too_many(count: int, limit: int, *loc: str | int) -> InvalidBodyError:
    """Return the refusal of a body with more items of a field than it may have."""
    message = f"List should have at most {limit} items, not {count}"
    return InvalidBodyError([problem("too_long", loc, message)])


def string_too_long(loc: Sequence[str | int], value: Any = None) -> Problem:
    """Return the entry for a string that no field but one in base64 takes."""
    return problem("string_too_long", loc, f"String should have at most {LONGEST} bytes", value)


def not_json(reason: str) -> Problem:
    """Return the entry for a body that is not JSON, as FastAPI words it."""
    if "hex escape" in reason:
        reason += " (a surrogate without its other half?)"
    return problem("json_invalid", ["body"], "JSON decode error", {}) | {"ctx": {"error": reason}}


def problems_of(error: ValidationError, place: str = "body") -> list[Problem]:
    """Return what pydantic found, at most :data:`SHOWN` entries and :data:`ROOM` bytes.

    Args:
        error: what a model raised.
        place: ``body`` or ``query``.
    """
    errors = error.errors(include_url=False)
    return bounded([_item(item, place) for item in errors[:SHOWN]], len(errors))


def bounded(problems: Sequence[Problem], count: int | None = None) -> list[Problem]:
    """Return problems in a size that may be answered, and in words how many there are beyond.

    Args:
        problems: the first ones, or all.
        count: how many there are, where ``problems`` are not all.
    """
    count = len(problems) if count is None else count
    shown: list[Problem] = []
    room = ROOM
    for entry in problems[: SHOWN if count <= SHOWN else SHOWN - 1]:
        item = _cut(entry, room)
        room -= len(orjson.dumps(item)) + 1
        if room < 0:
            break
        shown.append(item)
    if count > len(shown):
        more = f"{count - len(shown)} more problems are not shown"
        shown.append(problem("too_many_problems", [(problems[0]["loc"] or ["body"])[0]], more))
    return shown


def _item(error: Mapping[str, Any], place: str) -> Problem:
    if error["type"] == "json_invalid":
        return not_json(error["ctx"]["error"])  # what pydantic quotes is the whole body
    if error["type"] == "string_type" and isinstance(error["input"], LongText):
        return string_too_long([place, *error["loc"]], error["input"])
    message = _TYPES.get(error["type"], error["msg"])
    item = problem(error["type"], [place, *error["loc"]], message, error["input"])
    if "ctx" in error:
        values = error["ctx"].items()
        item["ctx"] = {key: {} if isinstance(value, Exception) else value for key, value in values}
    return item


def _cut(item: Problem, room: int) -> Problem:
    loc = [part[:_NAME] if isinstance(part, str) else part for part in item["loc"][:10]]
    cut = item | {"loc": loc, "msg": _start(item["msg"], _WORDS), "input": None}
    if "ctx" in item:
        cut["ctx"] = {key: _echo(value, _CONTEXT) for key, value in item["ctx"].items()}
    cut["input"] = _echo(item["input"], room - len(orjson.dumps(cut)))
    return cut


def _start(text: str, length: int) -> str:
    text = text if len(text) <= length else text[:length] + "…"
    return text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be answered


def _echo(value: Any, room: int) -> Any:
    """Return the value if its JSON has room, else words that say what it was."""
    if _weight(value, room) <= room:
        try:
            if len(orjson.dumps(value)) <= room:
                return value
        except TypeError:  # nested too deeply, or a number beyond 64 bits
            pass
    if isinstance(value, LongText):
        return value.start(_START) + "…"
    if isinstance(value, str):
        return _start(value, _START)
    if isinstance(value, int | float):
        return "(a number with too many digits to be shown)"
    return f"({type(value).__name__}, too large to be shown)"


def _weight(value: Any, limit: int) -> int:
    """Return about how many bytes a value takes as JSON; stops counting beyond the limit."""
    weight, rest = 0, [value]
    while rest and weight <= limit:
        part = rest.pop()
        weight += 2 + (len(part) if isinstance(part, str | LongText | list | dict) else 0)
        if isinstance(part, dict):
            rest += part.keys() if weight <= limit else ()
            rest += part.values() if weight <= limit else ()
        elif isinstance(part, list):
            rest += part if weight <= limit else ()
    return weight
