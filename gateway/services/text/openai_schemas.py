"""Bodies and answers of the OpenAI-compatible API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema
from typing_extensions import TypedDict

from gateway.http.answers import described
from gateway.services.text.embedding_options import InputType, Truncate
from gateway.services.text.openai_texts import MAX_INPUTS

TEXTS = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_INPUTS},
    ]
}


class EmbeddingsRequest(BaseModel):
    """Body of ``POST /v1/embeddings``; null is the same as leaving a field out."""

    input: Annotated[Any, WithJsonSchema(TEXTS)]  # checked later, up to the first fault
    model: str
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)
    input_type: InputType | None = None
    prompt_name: str | None = None
    truncate: Truncate | None = None
    user: str | None = None


@described
class OpenAIEmbedding(TypedDict):
    """One text's vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """Numbers, or little-endian float32 in base64 where that was asked for."""


@described
class OpenAIUsage(TypedDict):
    """Tokens of a request."""

    prompt_tokens: int
    total_tokens: int


@described
class OpenAIEmbeddings(TypedDict):
    """One vector per text, in order."""

    object: Literal["list"]
    data: list[OpenAIEmbedding]
    model: str
    usage: OpenAIUsage
