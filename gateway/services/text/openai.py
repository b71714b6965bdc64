"""`/v1/embeddings` and `/v1/models` in OpenAI's wire format, so that its clients work as they are.

Format: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import (
    BadRequestError,
    GatewayError,
    InvalidBodyError,
    NotFoundError,
    headers_of,
)
from gateway.http.answers import answer
from gateway.http.application import service_application
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.services.text.catalogue import Entry
from gateway.services.text.openai_schemas import (
    MAX_INPUTS,
    EmbeddingsRequest,
    OpenAIEmbeddings,
    OpenAIError,
    OpenAIModel,
    OpenAIModels,
)
from gateway.services.text.service import Floats, TextService

TOKENS_GIVEN = (
    "input must be text: token ids of another tokenizer cannot be embedded "
    "(LangChain: check_embedding_ctx_length=False)"
)


class ParameterError(BadRequestError):
    """A value of the body is wrong."""

    def __init__(self, param: str, detail: str) -> None:
        super().__init__(detail)
        self.param = param


class UnknownModelError(NotFoundError):
    """No model of this name is served; OpenAI's clients look for the code."""

    reason = "model_not_found"


def openai_error(error: GatewayError) -> Response:
    """Render an error as OpenAI's clients expect it: a wrong body is 400 there."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message, status = error.detail, error.status
    param = error.param if isinstance(error, ParameterError) else None
    if isinstance(error, InvalidBodyError):
        status = 400
        message = "; ".join(map(_words, error.detail))
        param = ".".join(map(str, error.detail[0]["loc"][1:])) or None
    if isinstance(error, UnknownModelError):
        param = "model"
    body = {"error": {"message": message, "type": kind, "param": param, "code": error.reason}}
    return answer(body, status, headers_of(error))


def _words(problem: dict[str, Any]) -> str:
    """Return where a problem is and what it is."""
    where = ".".join(map(str, problem["loc"][1:])) or "body"
    words = f"{where}: {problem['msg']}"
    if problem["type"] == "json_invalid":
        words += f": {problem['ctx']['error']}"
    if problem["type"] == "too_long" and where == "input":
        words += f"; {TOKENS_GIVEN}"  # only those come in such numbers
    return words


def _texts(value: Any, characters: int) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise ParameterError("input", "input must be a text or a list of texts")
    if not texts:
        raise ParameterError("input", "input must not be empty")
    for index, text in enumerate(texts):
        if isinstance(text, int | list):
            raise ParameterError("input", TOKENS_GIVEN)
        if not isinstance(text, str):
            raise ParameterError("input", f"input[{index}] must be a text")
        if len(text) > characters:
            raise ParameterError(
                "input", f"input[{index}] has {len(text)} characters, the limit is {characters}"
            )
    if len(texts) > MAX_INPUTS:
        raise ParameterError("input", f"input has {len(texts)} items, the limit is {MAX_INPUTS}")
    return texts


def _item(index: int, vector: Floats, encoding: str | None) -> dict[str, Any]:
    value: Any = vector
    if encoding == "base64":
        value = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return {"object": "embedding", "index": index, "embedding": value}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "pentad"}


def openai_application(service: TextService) -> FastAPI:
    """Return the OpenAI-compatible API without its middleware."""
    title = "Pentad OpenAI-compatible API"
    app = service_application(title, "Embeddings.", openai_error, error=OpenAIError, invalid=400)

    def find(name: str) -> Entry:
        try:
            return service.embedders.find(name)
        except BadRequestError as error:
            raise UnknownModelError(error.detail) from None

    @declare(
        app, "POST", "/embeddings", "Embeddings", answer=OpenAIEmbeddings, body=EmbeddingsRequest,
        errors=(UnknownModelError, *WORK),
    )  # fmt: skip
    async def embeddings(request: Request) -> Response:
        body = await read_body(request, EmbeddingsRequest)
        texts = _texts(body.input, service.settings.max_text_length)
        entry = find(body.model)
        vectors, tokens = await unless_gone(request, service.embed_counted(texts, entry))
        if body.dimensions not in (None, vectors.shape[1]):
            words = f"dimensions must be {vectors.shape[1]} for this model"
            raise ParameterError("dimensions", words)
        vectors = np.ascontiguousarray(vectors)
        items = [_item(i, vector, body.encoding_format) for i, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        content = {"object": "list", "data": items, "model": body.model, "usage": usage}
        return answer(content)

    @declare(app, "GET", "/models", "Models this endpoint serves", answer=OpenAIModels)
    async def models(request: Request) -> Response:
        names = [name for e in service.embedders.entries for name in (e.name, *e.settings.aliases)]
        body = {"object": "list", "data": [_model(name) for name in names]}
        return answer(body)

    @declare(
        app, "GET", "/models/{model:path}", "One of these models", answer=OpenAIModel,
        errors=(UnknownModelError,),
    )  # fmt: skip
    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        if not name:  # which would mean the default one
            raise NotFoundError
        find(name)
        return answer(_model(name))

    return app
