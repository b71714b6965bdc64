"""Whatever was wrong, and however much of it: the answer is small, and JSON."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import InvalidBodyError, error_response
from gateway.http.problems import SHOWN, bounded, problem, problems_of

VALUES = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=30) | st.just("\ud800")
    | st.just("x" * 30_000) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=30,
)  # fmt: skip


class Strict(BaseModel):
    """A body that knows its keys."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = []
    number: int = 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=900), VALUES), max_size=60))
def test_an_answer_has_at_most_16_kib(found: list[tuple[str, str, Any]]) -> None:
    problems = [problem("kind", ["body", name, 3], words, value) for name, words, value in found]
    shown = bounded(problems)
    answer = error_response(InvalidBodyError(shown)).body
    assert len(answer) <= 16 * 2**10
    assert len(shown) <= SHOWN
    assert all(
        {"type", "loc", "msg", "input"} <= one.keys() for one in orjson.loads(answer)["detail"]
    )
    if len(shown) < len(problems):
        assert shown[-1]["msg"] == f"{len(problems) - len(shown) + 1} more problems are not shown"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"texts": [' + b"0," * 9000 + b"0]}",
        b"{" + b",".join(b'"%d": 0' % n for n in range(9000)) + b"}",
        b'{"' + b"k" * 100_000 + b'": 0}',
        b'{"number": ' + b"1" * 4000 + b".5}",
        b'{"texts": ' + b"9" * 400 + b"}",
        b'{"texts": {"a": ' + b"[" * 150 + b"]" * 150 + b"}}",
    ],
)
def test_what_pydantic_finds(raw: bytes) -> None:
    with pytest.raises(ValidationError) as caught:
        Strict.model_validate_json(raw)
    shown = problems_of(caught.value)
    assert 1 <= len(shown) <= SHOWN
    assert len(error_response(InvalidBodyError(shown)).body) <= 16 * 2**10


def test_an_ordinary_problem_is_told_as_ever() -> None:
    with pytest.raises(ValidationError) as caught:
        Strict.model_validate_json(b'{"texts": [1, "a", null], "more": {"b": 2.5}}')
    text = {"type": "string_type", "msg": "Input should be a valid string"}
    assert problems_of(caught.value) == [
        {**text, "loc": ["body", "texts", 0], "input": 1},
        {**text, "loc": ["body", "texts", 2], "input": None},
        {
            "type": "extra_forbidden", "loc": ["body", "more"],
            "msg": "Extra inputs are not permitted", "input": {"b": 2.5},
        },
    ]  # fmt: skip
