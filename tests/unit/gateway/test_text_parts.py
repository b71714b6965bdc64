"""Chunks and catalogue of the text service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.text.catalogue import Catalogue
from gateway.api.text.chunks import by_content, by_length, split
from gateway.errors import BadRequestError
from gateway.settings.text import TextModel


@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.integers(1, 10),
    st.integers(1, 100),
)
def test_every_item_is_in_one_chunk_within_limits(
    sizes: list[int], rows: int, characters: int
) -> None:
    chunks = split(sizes, range(len(sizes)), rows, characters)
    assert [index for chunk in chunks for index in chunk] == list(range(len(sizes)))
    for chunk in chunks:
        assert 1 <= len(chunk) <= rows
        assert len(chunk) == 1 or sum(sizes[index] for index in chunk) <= characters


def test_orders() -> None:
    assert by_length(["ccc", "a", "bb"]) == [1, 2, 0]
    assert by_content([("x", "r2"), ("y", "r1"), ("z", "r2")]) == [1, 0, 2]


def catalogue() -> Catalogue:
    return Catalogue(
        "bertscore",
        {
            "english": TextModel(triton_model="a", encoder="b", aliases=["en-old"]),
            "french": TextModel(triton_model="c", encoder="d", languages=["fr", "nl"]),
        },
        "en-old",
    )


@pytest.mark.parametrize(
    ("name", "lang", "found"),
    [
        ("", "", "english"),
        ("", "en", "english"),
        ("", "EN_us", "english"),
        ("", "fr-CA", "french"),
        ("french", "en", "french"),
        ("en-old", "fr", "english"),
    ],
)
def test_find(name: str, lang: str, found: str) -> None:
    assert catalogue().find(name, lang).name == found


@pytest.mark.parametrize(("name", "lang"), [("gpt2", "en"), ("", "tlh")])
def test_not_found_lists_what_is_there(name: str, lang: str) -> None:
    with pytest.raises(BadRequestError) as error:
        catalogue().find(name, lang)
    assert "fr" in str(error.value.detail)
