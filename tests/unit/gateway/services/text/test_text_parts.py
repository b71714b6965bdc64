"""Chunks and catalogue of the text service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.services.text.catalogue import Catalogue
from gateway.services.text.service import split
from gateway.settings.text import TextModel


@given(st.integers(0, 300), st.integers(1, 128))
def test_every_item_is_in_one_chunk(count: int, rows: int) -> None:
    chunks = split(count, rows)
    assert [index for chunk in chunks for index in range(count)[chunk]] == list(range(count))
    assert all(1 <= chunk.stop - chunk.start <= rows for chunk in chunks)


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
