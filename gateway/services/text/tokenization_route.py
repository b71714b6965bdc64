"""`/v1/tokenize` as vLLM has it."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel, StrictBool
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from gateway.errors import BadRequestError
from gateway.http.answers import answer, described
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.http.openai_errors import UnknownModelError
from gateway.services.text.openai_texts import texts_of
from gateway.services.text.service import TextService
from gateway.services.text.tokenization import tokenized


class PromptTokensRequest(BaseModel):
    """Body of ``POST /v1/tokenize``; null is the same as leaving a field out."""

    model: str | None = None
    prompt: str
    add_special_tokens: StrictBool | None = None
    return_token_strs: StrictBool | None = None


@described
class PromptTokens(TypedDict):
    """The tokens of a text, none of them cut off."""

    count: int
    max_model_len: int
    """Tokens that the model reads of a text, those that it adds included."""
    tokens: list[int]
    token_strs: list[str] | None
    """As they are in the vocabulary, where `return_token_strs` asks for them."""


def add_tokenization(app: FastAPI, service: TextService) -> None:
    """Add the route to an application of OpenAI's dialect."""

    @declare(
        app, "POST", "/tokenize", "The tokens of a text", answer=PromptTokens,
        body=PromptTokensRequest, errors=(UnknownModelError, *WORK),
    )  # fmt: skip
    async def tokenize(request: Request) -> Response:
        body = await read_body(request, PromptTokensRequest)
        texts = texts_of("prompt", body.prompt, service.settings.max_text_length)
        try:
            entry = service.embedders.find(body.model or "")
        except BadRequestError as error:
            raise UnknownModelError(error.detail) from None
        (listed,) = await unless_gone(request, service.tokenize(texts, entry))
        text = tokenized(texts[0], listed)
        places = text.places(special=body.add_special_tokens is not False)
        tokens = {"count": len(places), "max_model_len": entry.model.info["max_tokens"]}
        strings = [text.tokens[at] for at in places] if body.return_token_strs else None
        return answer(tokens | {"tokens": [text.ids[at] for at in places], "token_strs": strings})
