"""Bodies and answers of the text API, with the old server's limits and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictInt, ValidationInfo, field_validator
from typing_extensions import TypeAliasType, TypedDict

from gateway.http.answers import described
from gateway.http.declaration import told
from gateway.services.text.embedding_options import InputType, Truncate


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


def _short_enough(text: str, info: ValidationInfo) -> str:
    characters = (info.context or {}).get("characters", 10_000)
    if len(text) > characters:
        raise ValueError(
            f"{info.field_name} length {len(text)} exceeds max text length of {characters}"
        )
    return text


class EmbedRequest(BaseModel):
    """Body of ``POST /embed``."""

    texts: list[str] = Field(description="Up to GPU_MAX_BATCH_SIZE texts; may be empty.")
    model: str = Field("", description="A name of the catalogue; empty: the default model.")
    dimensions: StrictInt | None = Field(None, ge=1, description="One of the model's lengths.")
    input_type: InputType | None = Field(None, description="Chooses the model's prompt.")
    prompt_name: str | None = Field(None, description="The model's name of a prompt.")
    truncate: Truncate | None = Field(
        None, description="What is cut off a text that is too long; NONE: it is refused."
    )

    check_texts = field_validator("texts")(_within_limits)


class BertscoreRequest(BaseModel):
    """Body of ``POST /bertscore``."""

    candidates: list[str] = Field(description="Texts to score.")
    references: list[str] = Field(description="One reference per candidate.")
    lang: str = Field("en", description="Chooses the model when none is named.")
    model_type: str = Field("", description="A name of the catalogue; empty: by `lang`.")

    check_texts = field_validator("candidates", "references")(_within_limits)


class SimilarityInputs(BaseModel):
    """A text, and those that it is compared with."""

    source_sentence: str
    sentences: list[str] = Field(min_length=1)

    check_texts = field_validator("sentences")(_within_limits)
    check_text = field_validator("source_sentence")(_short_enough)


class SimilarityRequest(BaseModel):
    """Body of ``POST /similarity``."""

    inputs: SimilarityInputs
    model: str = Field("", description="A name of the catalogue; empty: the default model.")


class TokenizeRequest(BaseModel):
    """Body of ``POST /tokenize``."""

    inputs: str | list[str] = Field(description="A text, or up to GPU_MAX_BATCH_SIZE of them.")
    add_special_tokens: StrictBool = Field(
        True, description="Whether those of the model are told too."
    )
    model: str = Field("", description="A name of the catalogue; empty: the default model.")

    @field_validator("inputs")
    @classmethod
    def _bounded(cls, inputs: str | list[str], info: ValidationInfo) -> str | list[str]:
        if isinstance(inputs, str):
            return _short_enough(inputs, info)
        return _within_limits(inputs, info)


def documented(
    model: type[BaseModel], names: Sequence[str], limits: Mapping[str, int]
) -> type[BaseModel]:
    """Return a request's model as the API document tells it, with what is configured.

    Args:
        model: one of the above.
        names: of the catalogue; every one is a model that a request may name.
        limits: see :class:`Limits`.
    """

    def extend(schema: dict[str, Any]) -> None:
        for name, field in schema["properties"].items():
            if field.get("type") == "array":
                field["maxItems"] = limits["items"]
                field["items"]["maxLength"] = limits["characters"]
            elif name.startswith("model"):
                field["examples"] = sorted(names)

    return told(model, extend)


@described
class TextHealth(TypedDict):
    """The service answers requests."""

    status: Literal["ok"]
    device: str
    """`cpu`, `cuda` or `cuda:N`."""


@described
class TextInfo(TypedDict):
    """Device, memory and loaded models; figures are null where no GPU runs them."""

    device: str
    device_name: str
    vram_total_mb: int | None
    vram_used_mb: int | None
    pytorch_version: str
    cuda_version: str | None
    loaded_models: list[str]
    """`bertscore:<model>`, then `embed:<model>`."""


@described
class TextQueue(TypedDict):
    """Requests in work and waiting."""

    max_concurrent: int
    in_flight: int
    available_slots: int
    waiting_estimate: int


@described
class TextJob(TypedDict):
    """A request in work."""

    id: str
    type: str
    started_at: str
    """ISO 8601, UTC."""
    items: int
    model: str
    progress: float
    """0 to 1."""


@described
class TextStatus(TypedDict):
    """Queue and running jobs."""

    queue: TextQueue
    active_jobs: list[TextJob]


@described
class Embeddings(TypedDict):
    """One vector per text."""

    embeddings: list[list[float]]
    model: str
    dimensions: int


@described
class BertScore(TypedDict):
    """One value per pair."""

    precision: list[float]
    recall: list[float]
    f1: list[float]
    model: str


@described
class Token(TypedDict):
    """A token of a text, and where it is."""

    id: int
    text: str
    """Of the text as it was given; a special token's own name."""
    special: bool
    """Whether the tokenizer has added it."""
    start: int | None
    """First of its characters (code points); null where it was added."""
    stop: int | None
    """Behind its last one."""


Similarities = TypeAliasType("Similarities", list[float])
"""One cosine per sentence, in order."""
Tokens = TypeAliasType("Tokens", list[list[Token]])
"""The tokens of each text, in order."""
