"""What the outline of a JSON body refuses, wherever the body is cut."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.outline import SHORT, Bounds, Outline

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=40,
)


def verdict(raw: bytes, bounds: Bounds, cuts: list[int] | None = None) -> str | None:
    outline = Outline(bounds)
    edges = [0, *sorted(cuts or []), len(raw)]
    for begin, end in itertools.pairwise(edges):
        if found := outline.feed(raw[begin:end]):
            return found[0]
    return None


def commas(value: Any) -> int:
    """How many commas a value has outside of strings."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return 0
    return max(0, len(value) - 1) + sum(map(commas, value))


@settings(max_examples=40)
@given(JSON, st.booleans(), st.data())
def test_values_are_counted_as_the_parser_finds_them(
    value: Any, ascii_only: bool, data: st.DataObject
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8))
    count = commas(value)
    assert verdict(raw, Bounds(values=count + 1), cuts) is None
    if count:
        assert verdict(raw, Bounds(values=count), cuts) == "too_long"


def long(text: str, copies: int = 1) -> bytes:
    return json.dumps({"a": [text] * copies}).encode()


SMALL = {"string": 4 * SHORT, "wide": 8 * SHORT, "between": 1000, "escapes": SHORT}
PLAIN, BASE64 = Bounds(**SMALL), Bounds(base64=True, **SMALL)


@pytest.mark.parametrize(
    ("raw", "plain", "base64"),
    [
        (long("A" * 4 * SHORT), None, None),
        (long("A" * (4 * SHORT + 1)), "string_too_long", None),
        (long("A" * 40 * SHORT), "string_too_long", None),
        (b'{"a":"' + b"A" * 5 * SHORT, "string_too_long", None),
        ('{"a":"' + "A" * 5 * SHORT + 'é"}', "string_too_long", "string_too_long"),
        ('{"a":"é' + "A" * 5 * SHORT + '"}', "string_too_long", "string_too_long"),
        (r'{"a":"\u00e9' + "A" * 5 * SHORT + '"}', "string_too_long", "string_too_long"),
        (r'{"a":"\u002B' + "A" * 5 * SHORT + r'\u002b\/\n"}', "string_too_long", None),
        ('{"é":"' + "A" * 5 * SHORT + '"}', "string_too_long", None),
        ('{"a":["' + '","'.join(["é" * SHORT] * 5) + '"]}', "string_too_long", "string_too_long"),
        ('{"a":["' + '","'.join(["é" * 1000] * 500) + '"]}', None, None),
        (long("\n" * (SHORT + 1)), "too_long", "too_long"),
        (b" " * 1001 + b"{}", "too_long", "too_long"),
        (b'{"a":' + b"1" * 1001 + b"}", "too_long", "too_long"),
        (b'""' * 30_000, "too_long", "too_long"),
        (b"[" * 900, None, None),
        (b'{"a":"' + b",[{" * 10_000 + b'"}', None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [SHORT, 7919])
def test_bounds(raw: bytes | str, plain: str | None, base64: str | None, piece: int) -> None:
    raw = raw.encode() if isinstance(raw, str) else raw
    cuts = [*range(piece, len(raw), piece)]
    assert verdict(raw, PLAIN, cuts) == plain
    assert verdict(raw, BASE64, cuts) == base64


@pytest.mark.parametrize("cut", range(1, 16))
def test_an_escape_may_be_cut_anywhere(cut: int) -> None:
    start, middle = SHORT + 3, rb'\u002B\\\"\\"'
    raw = b'{"a":"' + b"A" * (start - 6) + middle + b',"b":[' + b"1," * 40 + b"1]}"
    assert verdict(raw, Bounds(values=42, base64=True, string=SHORT), [start + cut]) is None
    assert verdict(raw, Bounds(values=41, base64=True, string=SHORT), [start + cut]) == "too_long"
    wide = raw.replace(b"002B", b"202B")
    assert verdict(wide, Bounds(base64=True, string=SHORT), [start + cut]) == "string_too_long"
