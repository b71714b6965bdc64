"""Request bodies of the text API, with the old server's limits and messages."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator


class Limits(dict[str, int]):
    """Validation context: ``items`` per array and ``characters`` (code points) per text."""


def _within_limits(texts: list[str], info: ValidationInfo) -> list[str]:
    limits: dict[str, int] = info.context or {}
    items, characters = limits.get("items", 100), limits.get("characters", 10_000)
    if len(texts) > items:
        raise ValueError(
            f"{info.field_name} array length {len(texts)} exceeds max batch size of {items}"
        )
    for index, text in enumerate(texts):
        if len(text) > characters:
            raise ValueError(
                f"{info.field_name}[{index}] length {len(text)} "
                f"exceeds max text length of {characters}"
            )
    return texts


class EmbedRequest(BaseModel):
    """Body of ``POST /embed``."""

    texts: list[str] = Field(description="Up to GPU_MAX_BATCH_SIZE texts; may be empty.")
    model: str = Field("", description="A name of the catalogue; empty: the default model.")

    check_texts = field_validator("texts")(_within_limits)


class BertscoreRequest(BaseModel):
    """Body of ``POST /bertscore``."""

    candidates: list[str] = Field(description="Texts to score.")
    references: list[str] = Field(description="One reference per candidate.")
    lang: str = Field("en", description="Chooses the model when none is named.")
    model_type: str = Field("", description="A name of the catalogue; empty: by `lang`.")

    check_texts = field_validator("candidates", "references")(_within_limits)


EMBED_EXAMPLE: dict[str, Any] = {
    "embeddings": [[0.1, -0.2]],
    "model": "all-MiniLM-L6-v2",
    "dimensions": 2,
}
BERTSCORE_EXAMPLE: dict[str, Any] = {
    "precision": [0.91],
    "recall": [0.9],
    "f1": [0.905],
    "model": "all-MiniLM-L6-v2",
}
