"""The tokens of texts as text-embeddings-inference tells them; and `/v1/tokenize`, as vLLM does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel, StrictBool
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from gateway.http.answers import answer, described
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.http.openai_errors import UnknownModelError
from gateway.large_work import rest, worked
from gateway.services.text.openai_texts import entry_of, texts_of
from gateway.services.text.service import TextService

LARGER = 4
"""Bytes of the answer for one that the model has told."""


@dataclass(frozen=True)
class Tokenized:
    """A text's tokens, none of them cut off; lists of one length.

    Attributes:
        text: as it was given.
        ids: in the model's vocabulary.
        tokens: as they are there.
        special: 1 where the tokenizer has added it, else 0.
        starts: first character of each, in code points.
        stops: behind its last one.
    """

    text: str
    ids: Sequence[int]
    tokens: Sequence[str]
    special: Sequence[int]
    starts: Sequence[int]
    stops: Sequence[int]

    def places(self, *, special: bool) -> list[int]:
        """Return the places of all tokens, or of those that the text itself has."""
        return [at for at, added in enumerate(self.special) if special or not added]

    def as_json(self, *, special: bool) -> list[dict[str, Any]]:
        """Return the tokens as text-embeddings-inference tells them."""
        return [self._token(at) for at in self.places(special=special)]

    def _token(self, at: int) -> dict[str, Any]:
        added = bool(self.special[at])
        start, stop = (None, None) if added else (self.starts[at], self.stops[at])
        text = self.tokens[at] if added else self.text[start:stop]
        token = {"id": self.ids[at], "text": text, "special": added}
        return token | {"start": start, "stop": stop}


def tokenized(text: str, listed: bytes) -> Tokenized:
    """Return what a model's output ``TOKENS`` tells of a text."""
    return Tokenized(text, **orjson.loads(listed))


async def listing(
    texts: Sequence[str], listed: Sequence[bytes], *, special: bool
) -> list[orjson.Fragment]:
    """Return each text's tokens as :meth:`Tokenized.as_json`, as JSON that is written already."""
    return await worked(LARGER * sum(map(len, listed)), _written, texts, listed, special)


def _written(texts: Sequence[str], listed: Sequence[bytes], special: bool) -> list[orjson.Fragment]:
    written = []
    for text, raw in zip(texts, listed, strict=True):
        tokens = tokenized(text, raw).as_json(special=special)
        written.append(orjson.Fragment(orjson.dumps(tokens)))
        rest()
    return written


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
        entry = entry_of(service.embedders.find, body.model)
        (listed,) = await unless_gone(request, service.tokenize(texts, entry))
        text = tokenized(texts[0], listed)
        places = text.places(special=body.add_special_tokens is not False)
        tokens = {"count": len(places), "max_model_len": entry.model.info["max_tokens"]}
        strings = [text.tokens[at] for at in places] if body.return_token_strs else None
        return answer(tokens | {"tokens": [text.ids[at] for at in places], "token_strs": strings})
