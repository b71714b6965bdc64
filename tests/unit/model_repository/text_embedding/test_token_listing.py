"""The lists of tokens are those of the transformers library, for texts of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from token_listing import TokenLister

from export.samples import varied_texts
from tests.support.checkpoints import small_tokenizer

TEXTS = varied_texts(60)


@pytest.fixture(scope="module")
def library() -> Any:
    return small_tokenizer()


@pytest.fixture(scope="module")
def listed(library: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    file: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    library.backend_tokenizer.save(str(file))
    return [json.loads(raw) for raw in TokenLister(file).listed(TEXTS)]


def test_tokens(library: Any, listed: list[dict[str, Any]]) -> None:
    for text, found in zip(TEXTS, listed, strict=True):
        assert found["ids"] == library.encode(text)
        assert found["tokens"] == library.convert_ids_to_tokens(found["ids"])
        own = [one for one, added in zip(found["ids"], found["special"], strict=True) if not added]
        assert own == library.encode(text, add_special_tokens=False)


def test_places(library: Any, listed: list[dict[str, Any]]) -> None:
    for text, found in zip(TEXTS, listed, strict=True):
        told = library(text, return_offsets_mapping=True)["offset_mapping"]
        assert list(zip(found["starts"], found["stops"], strict=True)) == told
