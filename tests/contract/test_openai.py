"""OpenAI's wire format, raw and through the official client."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import openai
import pytest

from tests.support.gateway import Running, running_gateway

MODEL = "all-MiniLM-L6-v2"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, text={"api_key": "test-key-1"}) as running:
        running.main.headers["Authorization"] = "Bearer test-key-1"
        yield running


async def test_float(gateway: Running) -> None:
    body = {"input": ["abc", "two words"], "model": MODEL}
    reply = await gateway.main.post("/v1/embeddings", json=body)
    assert reply.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [3.0, 97.0]},
            {"object": "embedding", "index": 1, "embedding": [9.0, 116.0]},
        ],
        "model": MODEL,
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


async def test_base64_is_little_endian_float32(gateway: Running) -> None:
    body = {"input": "abc", "model": MODEL, "encoding_format": "base64"}
    reply = await gateway.main.post("/v1/embeddings", json=body)
    raw = base64.b64decode(reply.json()["data"][0]["embedding"])
    assert np.frombuffer(raw, "<f4").tolist() == [3.0, 97.0]


async def test_the_official_client(gateway: Running) -> None:
    client = openai.AsyncOpenAI(
        api_key="test-key-1",
        base_url="http://localhost:9000/v1",
        http_client=gateway.main,
        max_retries=0,
    )
    found = await client.embeddings.create(input=["abc", "d"], model=MODEL)  # base64 by default
    assert [item.embedding for item in found.data] == [[3.0, 97.0], [1.0, 100.0]]
    assert next(model.id for model in (await client.models.list()).data) == MODEL
    with pytest.raises(openai.BadRequestError) as refused:
        await client.embeddings.create(input="a", model="text-embedding-3-small")
    assert "available models" in str(refused.value.body)


async def test_more_than_the_text_apis_limit_of_items(gateway: Running) -> None:
    body = {"input": ["a"] * 1000, "model": MODEL}
    reply = await gateway.main.post("/v1/embeddings", json=body)
    assert len(reply.json()["data"]) == 1000


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"input": [], "model": MODEL}, 400, "empty"),
        ({"input": [1, 2], "model": MODEL}, 400, "token ids"),
        ({"input": [[1], [2]], "model": MODEL}, 400, "token ids"),
        ({"input": "a", "model": MODEL, "dimensions": 7}, 400, "dimensions must be 2"),
        ({"input": ["a"] * 2049, "model": MODEL}, 400, "2049"),
        ({"input": "x" * 10_001, "model": MODEL}, 400, "10001 characters"),
        ({"input": "a"}, 422, "model: Field required"),
        ({"input": "a", "model": MODEL, "encoding_format": "int8"}, 422, "encoding_format"),
    ],
)
async def test_errors_have_openais_shape(
    gateway: Running, body: dict[str, object], status: int, words: str
) -> None:
    reply = await gateway.main.post("/v1/embeddings", json=body)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"


async def test_a_wrong_key_has_openais_shape(gateway: Running) -> None:
    headers = {"Authorization": "Bearer nope"}
    reply = await gateway.main.get("/v1/models", headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["message"] == "Unauthorized"
