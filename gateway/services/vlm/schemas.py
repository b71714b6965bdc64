"""Bodies and answers of chat completions: OpenAI's, and vLLM's words for thinking.

Format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Len
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

from gateway.http.answers import described

MAX_MESSAGES = 1000
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Stop = Annotated[str, Len(1, 128)]


class MediaUrl(BaseModel):
    """Where a picture or clip is: in the request itself."""

    url: str
    """``data:<media type>;base64,<the file>``; nothing is fetched."""


class TextPart(BaseModel):
    """A text."""

    type: Literal["text"]
    text: str


class ImagePart(BaseModel):
    """A picture."""

    type: Literal["image_url"]
    image_url: MediaUrl


class VideoPart(BaseModel):
    """A clip, of which the model sees some frames and when they were."""

    type: Literal["video_url"]
    video_url: MediaUrl


Part = Annotated[TextPart | ImagePart | VideoPart, Field(discriminator="type")]


class ChatMessage(BaseModel):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Len(1, 64)] | None = None
    """Pictures and clips are a user's."""


class StreamOptions(BaseModel):
    """How the stream is told."""

    include_usage: bool = False
    """Whether the tokens are told in a last chunk."""


class JsonSchema(BaseModel):
    """A schema that the answer will follow."""

    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(BaseModel):
    """What the answer will be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(BaseModel):
    """Body of ``POST /v1/chat/completions``; null is the same as leaving a field out."""

    model: str
    messages: Annotated[list[ChatMessage], Len(1, MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    """Most tokens of thinking and answer together."""
    max_tokens: int | None = Field(None, ge=1)
    """The same by its earlier name."""
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: Seed | None = None
    stop: Stop | Annotated[list[Stop], Len(0, 4)] | None = None
    response_format: ResponseFormat | None = None
    thinking_token_budget: int | None = Field(None, ge=0)
    """Most tokens of thinking, as vLLM calls it."""
    reasoning_effort: str | None = None
    """``none``: no thinking; other words leave it to the budget."""
    include_reasoning: bool | None = None
    """Whether the thinking is told; it is unless this is false."""
    n: int | None = None
    logprobs: bool | None = None
    tools: list[Any] | None = None
    user: str | None = None


@described
class ChatTokensDetails(TypedDict):
    """Of the tokens of a completion."""

    reasoning_tokens: int


@described
class ChatUsage(TypedDict):
    """Tokens of a request."""

    prompt_tokens: int
    """Of the messages, pictures and clips included."""
    completion_tokens: int
    """Of thinking and answer."""
    total_tokens: int
    completion_tokens_details: ChatTokensDetails


@described
class ChatAnswer(TypedDict):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    """Null where the tokens did not suffice for the thinking."""
    reasoning: NotRequired[str | None]
    """Its thinking, apart from the answer."""


@described
class ChatChoice(TypedDict):
    """The answer."""

    index: int
    message: ChatAnswer
    logprobs: None
    finish_reason: Literal["stop", "length"]


@described
class ChatCompletion(TypedDict):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    """Seconds since 1970."""
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
