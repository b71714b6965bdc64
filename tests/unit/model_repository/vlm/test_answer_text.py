from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from answer_text import AnswerText
from hypothesis import given
from hypothesis import strategies as st

END, CONTROL = 300, 301
"""Beyond the bytes, which are the other tokens."""


def decode(tokens: Sequence[int]) -> str:
    """As a byte-level tokenizer."""
    return bytes(tokens).decode(errors="replace")


def tokens_of(text: str) -> list[int]:
    return list(text.encode())


def whole(tokens: Sequence[int], end: int | None = END, **options: object) -> tuple[str, str, int]:
    text = AnswerText(decode, end, {CONTROL, END}, **options)  # type: ignore[arg-type]
    reasoning, answer = text.add(tokens, last=True)
    return reasoning, answer, text.reasoning_tokens


@pytest.mark.parametrize(
    ("tokens", "end", "expected"),
    [
        ([65, 66, END, 67, 68], END, ("AB", "CD", 3)),
        ([END, 67], END, ("", "C", 1)),
        ([65, 66], END, ("AB", "", 2)),
        ([65, 66], None, ("", "AB", 0)),
        ([65, END, 67, END, CONTROL, 68], END, ("A", "CD", 2)),
        ([], END, ("", "", 0)),
    ],
)
def test_thinking_and_answer(tokens: list[int], end: int | None, expected: object) -> None:
    assert whole(tokens, end) == expected


def test_control_characters_become_blanks() -> None:
    strange = tokens_of('\x00{"a":"b\x1fc\nd\te"}')
    assert json.loads(whole(strange, None, is_json=True)[1]) == {"a": "b c d e"}
    assert whole(tokens_of("One.\nTwo\x00.\x1b \n"), None)[1] == "One.\nTwo ."


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one two three", ["two"], "one"),
        ("one two three", ["three", "wo"], "one t"),
        ("one two three", ["four"], "one two three"),
        ("one tw", ["two"], "one tw"),
        ("\n\none", ["\n\n"], ""),
        ("one\n\ntwo", ["\n\n"], "one"),
    ],
)
def test_stops(text: str, stops: list[str], expected: str) -> None:
    found = AnswerText(decode, None, stops=stops)
    pieces = [found.add([token])[1] for token in tokens_of(text)]
    assert "".join([*pieces, found.add([], last=True)[1]]) == expected
    assert whole(tokens_of(text), None, stops=stops)[1] == expected
    assert found.stopped == (expected != text)


def test_a_character_is_told_when_it_is_whole() -> None:
    found = AnswerText(decode, None)
    assert [found.add([token])[1] for token in tokens_of("é€")] == ["", "é", "", "", "€"]
    assert found.add(tokens_of("é")[:1], last=True)[1] == "\ufffd"


PARTS = st.one_of(
    st.sampled_from([" ", "\n", "\n\n", "STOP", "ST", "OP", "\x00", "é", "€", "😀", "a"]).map(
        tokens_of
    ),
    st.lists(st.sampled_from([END, CONTROL, 0x61, 0x20]), max_size=2),
)


@given(
    st.lists(PARTS).map(lambda parts: [token for part in parts for token in part]),
    st.lists(st.integers(1, 4), min_size=1),
    st.sampled_from([(), ("STOP",), ("\n\n", "OPa")]),
    st.booleans(),
)
def test_the_pieces_are_the_whole(
    tokens: list[int], sizes: list[int], stops: tuple[str, ...], thinks: bool
) -> None:
    end = END if thinks else None
    found = AnswerText(decode, end, {CONTROL, END}, stops=stops)
    pieces, at = [], 0
    while at < len(tokens):
        size = sizes[at % len(sizes)]
        pieces.append(found.add(tokens[at : at + size]))
        at += size
    pieces.append(found.add([], last=True))
    told = tuple("".join(piece[kind] for piece in pieces) for kind in (0, 1))
    assert (*told, found.reasoning_tokens) == whole(tokens, end, stops=stops)
    assert found.tokens == len(tokens)
