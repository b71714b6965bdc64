"""`/v1/embeddings` and `/v1/models` in OpenAI's wire format, so that its clients work as they are.

Format: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
import orjson
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.application import service_application
from gateway.api.body import json_body, read_body
from gateway.api.disconnect import unless_gone
from gateway.api.text.service import Floats, TextService
from gateway.errors import JSON, BadRequestError, GatewayError, headers_of

MAX_INPUTS = 2048  # OpenAI's own limit per request


class EmbeddingsRequest(BaseModel):
    """Body of ``POST /v1/embeddings``."""

    input: str | list[str] | list[int] | list[list[int]]
    model: str
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)
    user: str | None = None


def openai_error(error: GatewayError) -> Response:
    """Render an error as OpenAI's clients expect it."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message = error.detail
    if not isinstance(message, str):
        message = "; ".join(f"{'.'.join(map(str, i['loc'][1:]))}: {i['msg']}" for i in message)
    body = {"error": {"message": message, "type": kind, "param": None, "code": error.reason}}
    return Response(orjson.dumps(body), error.status, headers_of(error), JSON)


def _texts(body: EmbeddingsRequest, characters: int) -> list[str]:
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not texts:
        raise BadRequestError("input must not be empty")
    if len(texts) > MAX_INPUTS:
        raise BadRequestError(f"input has {len(texts)} items, the limit is {MAX_INPUTS}")
    found = [text for text in texts if isinstance(text, str)]
    if len(found) != len(texts):
        raise BadRequestError(
            "input must be text: token ids of another tokenizer cannot be embedded "
            "(LangChain: check_embedding_ctx_length=False)"
        )
    for index, text in enumerate(found):
        if len(text) > characters:
            raise BadRequestError(
                f"input[{index}] has {len(text)} characters, the limit is {characters}"
            )
    return found


def _item(index: int, vector: Floats, encoding: str) -> dict[str, Any]:
    value: Any = vector
    if encoding == "base64":
        value = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return {"object": "embedding", "index": index, "embedding": value}


def openai_application(service: TextService) -> FastAPI:
    """Return the OpenAI-compatible API without its middleware."""
    app = service_application("Pentad OpenAI-compatible API", "Embeddings.", openai_error)

    @app.post("/embeddings", summary="Embeddings", openapi_extra=json_body(EmbeddingsRequest))
    async def embeddings(request: Request) -> Response:
        body = await read_body(request, EmbeddingsRequest)
        entry = service.embedders.find(body.model)
        texts = _texts(body, service.settings.max_text_length)
        vectors, tokens = await unless_gone(request, service.embed_counted(texts, entry))
        if body.dimensions not in (None, vectors.shape[1]):
            raise BadRequestError(f"dimensions must be {vectors.shape[1]} for this model")
        vectors = np.ascontiguousarray(vectors)
        items = [_item(i, vector, body.encoding_format) for i, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        content = {"object": "list", "data": items, "model": body.model, "usage": usage}
        return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type=JSON)

    @app.get("/models", summary="Models this endpoint serves")
    async def models(request: Request) -> Response:
        names = [name for e in service.embedders.entries for name in (e.name, *e.settings.aliases)]
        data = [{"id": n, "object": "model", "created": 0, "owned_by": "pentad"} for n in names]
        return Response(orjson.dumps({"object": "list", "data": data}), media_type=JSON)

    return app
