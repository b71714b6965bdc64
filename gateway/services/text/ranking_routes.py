"""`/v1/rerank` as Jina, Cohere and vLLM have it, and `/v1/score` as vLLM has it.

Formats: https://docs.cohere.com/v1/reference/rerank,
https://docs.vllm.ai/en/stable/models/pooling_models.html
"""

from __future__ import annotations

import time
import uuid
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
from gateway.services.text.openai_texts import entry_of, texts_of
from gateway.services.text.ranking import Ranking
from gateway.services.text.ranking_schemas import (
    PairScores,
    Reranking,
    RerankRequest,
    ScoreRequest,
)


def add_ranking(app: FastAPI, ranking: Ranking, characters: int) -> None:
    """Add the routes.

    Args:
        app: of OpenAI's dialect.
        ranking: what they ask.
        characters: most of them (code points) in a text.
    """

    @declare(
        app, "POST", "/rerank", "Documents by their relevance to a query", answer=Reranking,
        body=RerankRequest, errors=(UnknownModelError, *WORK),
    )  # fmt: skip
    async def rerank(request: Request) -> Response:
        body = await read_body(request, RerankRequest)
        (query,) = texts_of("query", body.query, characters)
        documents = texts_of("documents", _plain(body.documents), characters)
        entry = entry_of(ranking.find, body.model)
        scores, tokens = await unless_gone(request, ranking.rank(query, documents, entry))
        order = np.argsort(-scores, kind="stable")[: body.top_n or None]
        results: list[dict[str, Any]] = [
            {"index": index, "relevance_score": relevance}
            for index, relevance in zip(order.tolist(), scores[order].tolist(), strict=True)
        ]
        if body.return_documents:
            for result in results:
                result["document"] = {"text": documents[result["index"]]}
        content = {"id": _id("rerank"), "model": body.model or entry.name, "results": results}
        return answer(content | {"usage": _usage(tokens)})

    @declare(
        app, "POST", "/score", "How alike the texts of pairs are", answer=PairScores,
        body=ScoreRequest, errors=(UnknownModelError, *WORK),
    )  # fmt: skip
    async def score(request: Request) -> Response:
        body = await read_body(request, ScoreRequest)
        left = texts_of("text_1", body.text_1, characters)
        right = texts_of("text_2", body.text_2, characters)
        if len(left) not in (1, len(right)):
            words = f"text_1 has {len(left)} items, text_2 {len(right)}: one for all, or as many"
            raise ParameterError("text_1", words)
        entry = entry_of(ranking.find, body.model)
        scores, tokens = await unless_gone(request, ranking.score(left, right, entry))
        data = [
            {"index": index, "object": "score", "score": value}
            for index, value in enumerate(scores.tolist())
        ]
        content = {"id": _id("score"), "object": "list", "created": int(time.time())}
        content |= {"model": body.model or entry.name, "data": data, "usage": _usage(tokens)}
        return answer(content)


def _plain(documents: Any) -> Any:
    """Return documents with the text in the place of objects that hold one."""
    if not isinstance(documents, list):
        raise ParameterError("documents", "documents must be a list of texts")
    return [item.get("text") if isinstance(item, dict) else item for item in documents]


def _id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex}"


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}
