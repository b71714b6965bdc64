"""Documents whose long strings are parsed by themselves: values and errors of one parser's call."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pydantic_core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http import large_json
from gateway.http.large_json import LargeJson, LongKeyError, Partial
from gateway.http.long_text import LongText
from gateway.http.outline import APART, Bounds, Outline

BOUNDS = Bounds(base64=True)
WORDS = st.text(max_size=8) | st.sampled_from(["\\", '"', "\n", "é", "😀", "\u0000", "/"])
LONG = st.builds(lambda word, count: (word or "A") * count, WORDS, st.integers(1, 2 * APART))
PLAIN = st.builds(
    lambda word, count: word * count,
    st.sampled_from(["A", "\n", "\\", '"']),
    st.integers(1, APART * 2),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | LONG | PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | LONG, inner, max_size=4),
    max_leaves=8,
)


def document(raw: bytes, cuts: list[int], longest: int = 2**22) -> LargeJson:
    """As the reader of a body makes it."""
    edges = [0, *sorted(cuts), len(raw)]
    pieces = [raw[begin:end] for begin, end in itertools.pairwise(edges)]
    outline = Outline(BOUNDS)
    for piece in pieces:
        outline.feed(piece)
    return LargeJson(pieces, outline.apart(), longest, at_once=0)


def joined(value: Any) -> Any:
    """The same value, with strings for texts in parts."""
    if isinstance(value, LongText):
        assert len(value) == sum(map(len, value.parts))
        return "".join(value.parts)
    if isinstance(value, list):
        return [joined(item) for item in value]
    if isinstance(value, dict):
        return {key: joined(item) for key, item in value.items()}
    return value


def outcome(raw: bytes, partial: Partial = "off") -> Any:
    try:
        return pydantic_core.from_json(raw, allow_partial=partial)
    except ValueError as error:
        return str(error)


def own(raw: bytes, cuts: list[int], partial: Partial = "off", longest: int = 2**22) -> Any:
    try:
        return joined(document(raw, cuts, longest).parsed(partial))
    except ValueError as error:
        return str(error)


def drawn_cuts(data: st.DataObject, raw: bytes) -> list[int]:
    return data.draw(st.lists(st.integers(0, len(raw)), max_size=8))


@settings(max_examples=60)
@given(JSON, st.booleans(), st.sampled_from([None, 1]), st.data())
def test_values(value: Any, ascii_only: bool, indent: int | None, data: st.DataObject) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    read = own(raw, drawn_cuts(data, raw))
    assert read == value
    assert json.dumps(read) == json.dumps(json.loads(raw))  # in the same order, too


@settings(max_examples=60)
@given(PLAIN, st.integers(1, 700), st.data())
def test_texts_in_parts(text: str, longest: int, data: st.DataObject) -> None:
    """Wherever they are cut, in the middle of an escape as well."""
    for written in (text, text + "/+"):
        raw = json.dumps({"a": [written, 1], "b": written}).encode()
        raw = raw.replace(b"/+", rb"\/\u002B")
        cuts = drawn_cuts(data, raw)
        assert own(raw, cuts, longest=longest) == {"a": [written, 1], "b": written}


BROKEN = st.sampled_from(
    [
        b"",
        b'"',
        b"\\",
        b"\\u12",
        rb"\ud83d",
        b"\x01",
        b"\n",
        b"\xff",
        b"\xc3",
        b",",
        b"}",
        b"x",
        b"[",
        b"0",
    ]
)


@settings(max_examples=100)
@given(JSON, st.integers(0, 1), BROKEN, st.booleans(), st.data())
def test_errors(value: Any, taken: int, put: bytes, cut_off: bool, data: st.DataObject) -> None:
    """Documents that are changed at a place: said is what is wrong first, and where."""
    raw = json.dumps(value, indent=taken or None).encode()
    at = data.draw(st.integers(0, len(raw)))
    broken = raw[:at] + put + (b"" if cut_off else raw[at + taken :])
    cuts = drawn_cuts(data, broken)
    for partial in ("off", "trailing-strings"):
        assert own(broken, cuts, partial) == outcome(broken, partial)


@pytest.mark.parametrize(
    "end",
    [
        b'\\u12"',
        b'\\u12",1',
        b'\\ud8"00"]',
        b'\\ud8"]   ',
        b"",
        b'"',
        b'"]',
        b'"x',
        b'",',
        b"\\",
        b"\n",
        b"\xff",
        b'"]]',
    ],
)
@pytest.mark.parametrize(
    "start", [b"[", b'{"a":', b'\n\n[1,\n "a", ', b'{"x" "', b'["' + b"B" * APART + b'",']
)
def test_errors_behind_long_strings(start: bytes, end: bytes) -> None:
    raw = start + b'"' + b"A" * (APART + 100) + end
    assert own(raw, [APART]) == outcome(raw)
    assert own(raw, [APART], longest=APART) == outcome(raw)


def test_names_again_and_tokens_of_others() -> None:
    """The last of equal names counts, and what looks like a token is text."""
    name, late = "n" * APART, "v" * APART
    raw = json.dumps({name: "early" * APART, "b": 1})[:-1].encode()
    raw += b', "%s": "%s"}' % (name.encode(), late.encode())
    read = document(raw, []).parsed()
    assert list(read.items()) == [(name, late), ("b", 1)]
    guessed = [f"{n:016x}{n}" for n in range(3)]
    assert own(json.dumps([*guessed, late]).encode(), []) == [*guessed, late]


def test_a_name_is_no_picture() -> None:
    raw = b'{"%s": 1}' % (b"n" * 3000)
    with pytest.raises(LongKeyError):
        document(raw, [1000, 2000], 1500).parsed()


def test_short_strings_are_parsed_together_unless_they_are_many_bytes() -> None:
    words = ["w" * APART * 8] * 20
    raw = json.dumps([*words, "p" * large_json.LONG]).encode()
    outline = Outline(BOUNDS)
    outline.feed(raw)
    spans = outline.apart()
    assert len(spans) == 21
    sizes = []
    for at_once in (APART, 8 * APART * 21):
        document = LargeJson([raw], spans, 2**22, at_once)
        assert document.parsed() == json.loads(raw)
        sizes.append(document.size)
    assert sizes[0] < APART
    assert 8 * APART * 20 < sizes[1] < large_json.LONG + 8 * APART * 20
