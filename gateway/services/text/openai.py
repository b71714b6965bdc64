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

from gateway.errors import BadRequestError, NotFoundError
from gateway.http.answers import answer
from gateway.http.application import service_application
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.services.text.catalogue import Entry
from gateway.services.text.embedding_options import EmbeddingOptions, OptionError
from gateway.services.text.openai_errors import (
    ParameterError,
    UnknownModelError,
    openai_error,
    texts_of,
)
from gateway.services.text.openai_schemas import (
    EmbeddingsRequest,
    OpenAIEmbeddings,
    OpenAIError,
    OpenAIModel,
    OpenAIModels,
)
from gateway.services.text.ranking import Ranking
from gateway.services.text.ranking_routes import add_ranking
from gateway.services.text.service import Floats, TextService
from gateway.services.text.tokenization_route import add_tokenization

DESCRIPTION = "Embeddings, how relevant and alike texts are, and their tokens."


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
    app = service_application(title, DESCRIPTION, openai_error, error=OpenAIError, invalid=400)

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
        texts = texts_of("input", body.input, service.settings.max_text_length)
        entry = find(body.model)
        options = EmbeddingOptions(
            body.prompt_name, body.input_type, body.dimensions, body.truncate
        )
        try:
            preparation = await service.prepare(entry, options)
            work = service.embed_counted(texts, entry, preparation)
            vectors, tokens = await unless_gone(request, work)
        except OptionError as error:
            raise ParameterError(error.option, error.detail) from None
        vectors = np.ascontiguousarray(vectors)
        items = [_item(i, vector, body.encoding_format) for i, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        content = {"object": "list", "data": items, "model": body.model, "usage": usage}
        return answer(content)

    names = [*service.embedders.names, *service.rankers.names]

    @declare(app, "GET", "/models", "Models this endpoint serves", answer=OpenAIModels)
    async def models(request: Request) -> Response:
        body = {"object": "list", "data": [_model(name) for name in names]}
        return answer(body)

    @declare(
        app, "GET", "/models/{model:path}", "One of these models", answer=OpenAIModel,
        errors=(UnknownModelError,),
    )  # fmt: skip
    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        if not name:
            raise NotFoundError
        if name not in names:
            raise UnknownModelError(f"Unknown model; available models: {', '.join(sorted(names))}")
        return answer(_model(name))

    add_ranking(app, Ranking(service), service.settings.max_text_length)
    add_tokenization(app, service)
    return app
