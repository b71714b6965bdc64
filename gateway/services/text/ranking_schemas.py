"""Bodies and answers of `/v1/rerank` and `/v1/score`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictInt, WithJsonSchema
from typing_extensions import NotRequired, TypedDict

from gateway.http.answers import described
from gateway.services.text.openai_schemas import TEXTS, OpenAIUsage
from gateway.services.text.openai_texts import MAX_INPUTS

_DOCUMENT = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    ]
}
_DOCUMENTS = {"type": "array", "items": _DOCUMENT, "minItems": 1, "maxItems": MAX_INPUTS}


class RerankRequest(BaseModel):
    """Body of ``POST /v1/rerank``; null is the same as leaving a field out."""

    model: str | None = None
    query: str
    documents: Annotated[Any, WithJsonSchema(_DOCUMENTS)]  # checked later, up to the first fault
    top_n: StrictInt | None = Field(None, ge=0, description="0: all.")
    return_documents: StrictBool | None = None


class ScoreRequest(BaseModel):
    """Body of ``POST /v1/score``; null is the same as leaving a field out."""

    model: str | None = None
    text_1: Annotated[Any, WithJsonSchema(TEXTS)]
    text_2: Annotated[Any, WithJsonSchema(TEXTS)]


@described
class RankedDocument(TypedDict):
    """A document as it was given."""

    text: str


@described
class RankedResult(TypedDict):
    """How relevant a document is."""

    index: int
    """Its place in the request."""
    relevance_score: float
    document: NotRequired[RankedDocument]
    """Where `return_documents` asks for it."""


@described
class Reranking(TypedDict):
    """Documents by descending relevance."""

    id: str
    model: str
    results: list[RankedResult]
    usage: OpenAIUsage


@described
class PairScore(TypedDict):
    """One pair's score."""

    index: int
    object: Literal["score"]
    score: float


@described
class PairScores(TypedDict):
    """One score per pair, in order."""

    id: str
    object: Literal["list"]
    created: int
    """Seconds since 1970."""
    model: str
    data: list[PairScore]
    usage: OpenAIUsage
