"""Bodies that are read in parts: what a model gets of them, and what is said of wrong ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import Message

from gateway.errors import InvalidBodyError
from gateway.http.body import PIECE, read_body
from gateway.http.long_text import LONGEST, Base64Text, LongText
from gateway.http.outline import Bounds

BASE64 = Bounds(base64=True)
PICTURE = "A" * (LONGEST + 3 * PIECE)
WORDS = "some words, " * (LONGEST // 13)


class Item(BaseModel):
    """With a field that takes pictures."""

    name: str | None = None
    data: Base64Text | None = None
    number: int | None = None
    more: dict[str, Any] | None = None


class Body(BaseModel):
    """Of several."""

    items: list[Item]


def request(raw: bytes, step: int = 100_001) -> Request:
    """One whose body arrives in pieces."""
    pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def refused(raw: bytes) -> dict[str, Any]:
    with pytest.raises(InvalidBodyError) as caught:
        await read_body(request(raw), Body, bounds=BASE64)
    (entry,) = caught.value.detail
    return dict(entry)


async def test_only_what_is_too_long_is_in_parts() -> None:
    items = [
        {"data": PICTURE, "name": WORDS, "more": {"é": PICTURE}, "unknown": PICTURE},
        {"data": WORDS},
    ]
    body = await read_body(request(json.dumps({"items": items}).encode()), Body, bounds=BASE64)
    first, second = body.items
    assert isinstance(first.data, LongText)
    assert "".join(first.data.parts) == PICTURE
    assert max(map(len, first.data.parts)) <= 2 * PIECE
    assert (first.name, second.data) == (WORDS, WORDS)


@pytest.mark.parametrize(
    ("item", "kind", "loc", "shown"),
    [
        ({"name": PICTURE}, "string_too_long", ["body", "items", 0, "name"], "A" * 100 + "…"),
        ({"number": PICTURE}, "int_type", ["body", "items", 0, "number"], "A" * 100 + "…"),
        (PICTURE, "model_type", ["body", "items", 0], "A" * 100 + "…"),
        ({"name": WORDS, "number": WORDS}, "int_parsing", ["body", "items", 0, "number"],
         WORDS[:100] + "…"),
        ({PICTURE: 1}, "string_too_long", ["body"], None),
    ],
)  # fmt: skip
async def test_what_is_no_picture(item: Any, kind: str, loc: list[str | int], shown: Any) -> None:
    entry = await refused(json.dumps({"items": [item]}).encode())
    assert (entry["type"], entry["loc"], entry["input"]) == (kind, loc, shown)


@pytest.mark.parametrize(
    ("raw", "kind", "loc", "words"),
    [
        (b'{"items":["%s",]}' % PICTURE.encode(), "json_invalid", ["body"], "trailing comma"),
        (b'{"items":["%s' % PICTURE.encode(), "json_invalid", ["body"], "EOF while parsing"),
        (b'{"items":["%s\\q"' % PICTURE.encode(), "json_invalid", ["body"], "invalid escape"),
        (b'{"first":"%s","items":["%s\xc3\xa9' % (PICTURE.encode(), PICTURE.encode()),
         "string_too_long", ["body", "items"], "at most"),
        (b'{"items":["%s"%s' % (PICTURE.encode(), b",0" * 10_000),
         "too_long", ["body", "items"], "at most 10000 items"),
        (b'{"a":"%s","%s":[%s' % (WORDS.encode(), b"k" * 2000, b"0," * 10_000),
         "too_long", ["body", "k" * 64], "at most 10000 items"),
    ],
)  # fmt: skip
async def test_what_is_wrong_far_in(raw: bytes, kind: str, loc: list[str], words: str) -> None:
    entry = await refused(raw)
    assert (entry["type"], entry["loc"]) == (kind, loc)
    said = entry["msg"] if kind != "json_invalid" else entry["ctx"]["error"]
    assert words in said
    if kind == "json_invalid":
        place = (
            len(raw) if words.startswith("EOF") else raw.rindex(b"q" if b"q" in raw else b"]") + 1
        )
        assert said.endswith(f"at line 1 column {place}")
