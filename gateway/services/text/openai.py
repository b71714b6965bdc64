"""`/v1/embeddings` in OpenAI's wire format, so that its clients work as they are.

Format: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.answers import answer
from gateway.http.body import read_body
from gateway.http.declaration import WORK, declare
from gateway.http.disconnect import unless_gone
from gateway.http.openai_errors import ParameterError, UnknownModelError
from gateway.http.openai_models import ModelLists, add_models, openai_application
from gateway.services.text.embedding_options import EmbeddingOptions, OptionError
from gateway.services.text.openai_schemas import EmbeddingsRequest, OpenAIEmbeddings
from gateway.services.text.openai_texts import entry_of, texts_of
from gateway.services.text.ranking import Ranking
from gateway.services.text.ranking_routes import add_ranking
from gateway.services.text.service import Floats, TextService
from gateway.services.text.tokenization import add_tokenization

DESCRIPTION = "Embeddings, how relevant and alike texts are, and their tokens."


def _item(index: int, vector: Floats, encoding: str | None) -> dict[str, Any]:
    value: Any = vector
    if encoding == "base64":
        value = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return {"object": "embedding", "index": index, "embedding": value}


def text_models_application(service: TextService, lists: ModelLists) -> FastAPI:
    """Return the OpenAI-compatible API without its middleware; ``lists`` are of all services."""
    app = openai_application(DESCRIPTION)

    @declare(
        app, "POST", "/embeddings", "Embeddings", answer=OpenAIEmbeddings, body=EmbeddingsRequest,
        errors=(UnknownModelError, *WORK),
    )  # fmt: skip
    async def embeddings(request: Request) -> Response:
        body = await read_body(request, EmbeddingsRequest)
        texts = texts_of("input", body.input, service.settings.max_text_length)
        entry = entry_of(service.embedders.find, body.model)
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

    add_models(app, lists)
    add_ranking(app, Ranking(service), service.settings.max_text_length)
    add_tokenization(app, service)
    return app
