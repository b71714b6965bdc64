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
    with pytest.raises(openai.NotFoundError) as refused:
        await client.embeddings.create(input="a", model="text-embedding-3-small")
    assert "available models" in str(refused.value.body)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert (await client.models.retrieve(MODEL)).id == MODEL
    with pytest.raises(openai.NotFoundError) as refused:
        await client.models.retrieve("gpt/4")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.embeddings.create(input=["a", 7], model=MODEL)  # type: ignore[list-item]
    assert wrong.value.param == "input"


async def test_more_than_the_text_apis_limit_of_items(gateway: Running) -> None:
    body = {"input": ["a"] * 1000, "model": MODEL}
    reply = await gateway.main.post("/v1/embeddings", json=body)
    assert len(reply.json()["data"]) == 1000


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": [], "model": MODEL}, "input", "empty"),
        ({"input": [1, 2], "model": MODEL}, "input", "token ids"),
        ({"input": [[1], [2]], "model": MODEL}, "input", "token ids"),
        ({"input": [1] * 300_000, "model": MODEL}, "input", "token ids"),
        ({"input": 7, "model": MODEL}, "input", "a text or a list of texts"),
        ({"input": ["a", None], "model": MODEL}, "input", "input[1]"),
        ({"input": "a", "model": MODEL, "dimensions": 7}, "dimensions", "must be 2"),
        ({"input": ["a"] * 2049, "model": MODEL}, "input", "2049"),
        ({"input": "x" * 10_001, "model": MODEL}, "input", "10001 characters"),
        ({"input": "a"}, "model", "model: Field required"),
        ({"model": MODEL}, "input", "input: Field required"),
        ({"input": "a", "model": MODEL, "encoding_format": "int8"}, "encoding_format", "base64"),
        ({"input": "a", "model": MODEL, "dimensions": 0}, "dimensions", "greater than"),
    ],
)
async def test_errors_have_openais_shape(
    gateway: Running, body: dict[str, object], param: str, words: str
) -> None:
    reply = await gateway.main.post("/v1/embeddings", json=body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert words in error["message"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_null_is_absent(gateway: Running) -> None:
    nothing = dict.fromkeys(("encoding_format", "dimensions", "user"))
    reply = await gateway.main.post("/v1/embeddings", json={"input": "a", "model": MODEL} | nothing)
    assert reply.status_code == 200
    assert reply.json()["data"][0]["embedding"] == [1.0, 97.0]


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"{", "EOF"), (b'{"input": "cut \\ud83d", "model": "m"}', "surrogate"), (b"", "body: Field")],
)
async def test_a_body_that_is_no_json_says_why(gateway: Running, raw: bytes, words: str) -> None:
    reply = await gateway.main.post("/v1/embeddings", content=raw)
    assert reply.status_code == 400
    assert words in reply.json()["error"]["message"]


async def test_unknown_paths_and_methods_are_no_internal_errors(gateway: Running) -> None:
    for status, reply in (
        (404, await gateway.main.get("/v1/nothing")),
        (405, await gateway.main.get("/v1/embeddings")),
    ):
        assert reply.status_code == status
        assert reply.json()["error"]["type"] == "invalid_request_error"
        assert reply.json()["error"]["code"] in ("not_found", "method_not_allowed")


async def test_a_wrong_key_has_openais_shape(gateway: Running) -> None:
    headers = {"Authorization": "Bearer nope"}
    reply = await gateway.main.get("/v1/models", headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["message"] == "Unauthorized"
