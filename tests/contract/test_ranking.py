"""`/v1/rerank`, `/v1/score`, `/text/similarity` and the two `tokenize`, byte for byte.

The stand-in's vectors are (length, first code point): their cosines are worked out by hand here.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway, until

MODEL = "all-MiniLM-L6-v2"
KEY = "test-key-1"


def cosine(one: str, other: str) -> float:
    left, right = (len(one), ord(one[0])), (len(other), ord(other[0]))
    product = left[0] * right[0] + left[1] * right[1]
    return product / (math.hypot(*left) * math.hypot(*right))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, text={"api_key": KEY}) as running:
        for client in (running.main, running.text):
            client.headers["Authorization"] = f"Bearer {KEY}"
        yield running


DOCUMENTS = ["\x01" * 90, "b", {"text": "aaa"}, "b"]
"""By the stand-in's cosine to "a": least alike; alike; most; as the second."""


async def test_rerank(gateway: Running) -> None:
    body = {"model": MODEL, "query": "a", "documents": DOCUMENTS, "return_documents": True}
    reply = await gateway.main.post("/v1/rerank", json=body)
    assert reply.status_code == 200
    found = reply.json()
    assert re.fullmatch(r"rerank-[0-9a-f]{32}", found.pop("id"))
    scores = [one.pop("relevance_score") for one in found["results"]]
    told = [cosine("a", "b"), cosine("a", "b"), cosine("a", "aaa"), cosine("a", "\x01" * 90)]
    assert scores == pytest.approx(told, abs=1e-12)
    assert found == {
        "model": MODEL,
        "results": [
            {"index": 1, "document": {"text": "b"}},
            {"index": 3, "document": {"text": "b"}},
            {"index": 2, "document": {"text": "aaa"}},
            {"index": 0, "document": {"text": "\x01" * 90}},
        ],
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
    }
    assert gateway.triton.calls == [("text_embedding", 5)]


async def test_rerank_byte_for_byte(gateway: Running) -> None:
    body = {"query": "a", "documents": ["zz", "a"], "top_n": 1}
    reply = await gateway.main.post("/v1/rerank", json=body)
    assert re.sub(rb"rerank-\w{32}", b"ID", reply.content) == (
        b'{"id":"ID","model":"all-MiniLM-L6-v2","results":[{"index":1,"relevance_score":1.0}],'
        b'"usage":{"prompt_tokens":9,"total_tokens":9}}'
    )


@pytest.mark.parametrize(("top_n", "count"), [(0, 3), (None, 3), (2, 2), (9, 3)])
async def test_top_n(gateway: Running, top_n: int | None, count: int) -> None:
    body = {"query": "a", "documents": ["a", "b", "c"], "top_n": top_n}
    reply = await gateway.main.post("/v1/rerank", json=body)
    assert len(reply.json()["results"]) == count


async def test_score_byte_for_byte(gateway: Running) -> None:
    body = {"model": MODEL, "text_1": "a", "text_2": ["a", ""]}
    reply = await gateway.main.post("/v1/score", json=body)
    plain = re.sub(rb'score-\w{32}","object":"list","created":\d{10}', b"ID", reply.content)
    assert plain == (
        b'{"id":"ID,"model":"all-MiniLM-L6-v2","data":[{"index":0,"object":"score","score":1.0},'
        b'{"index":1,"object":"score","score":0.0}],"usage":{"prompt_tokens":8,"total_tokens":8}}'
    )


async def test_score_of_pairs(gateway: Running) -> None:
    body = {"model": MODEL, "text_1": ["a", "bb"], "text_2": ["cc", "d"]}
    data = (await gateway.main.post("/v1/score", json=body)).json()["data"]
    told = [cosine("a", "cc"), cosine("bb", "d")]
    assert [one["score"] for one in data] == pytest.approx(told, abs=1e-12)


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "words"),
    [
        ("rerank", {"query": "a"}, 400, "documents", "documents: Field required"),
        ("rerank", {"documents": ["a"]}, 400, "query", "query: Field required"),
        ("rerank", {"query": "a", "documents": []}, 400, "documents", "must not be empty"),
        ("rerank", {"query": "a", "documents": "b"}, 400, "documents", "a list of texts"),
        ("rerank", {"query": "a", "documents": {"text": "b"}}, 400, "documents", "a list"),
        ("rerank", {"query": "a", "documents": ["b", {}]}, 400, "documents", "documents[1] must"),
        ("rerank", {"query": "a", "documents": ["b", 7]}, 400, "documents", "documents[1] must"),
        ("rerank", {"query": "a", "documents": [["b"]]}, 400, "documents", "documents[0] must"),
        ("rerank", {"query": "a", "documents": ["b"] * 2049}, 400, "documents", "limit is 2048"),
        ("rerank", {"query": "a", "documents": ["x" * 10_001]}, 400, "documents", "10001 char"),
        ("rerank", {"query": "x" * 10_001, "documents": ["a"]}, 400, "query", "10001 characters"),
        ("rerank", {"query": "a", "documents": ["b"], "top_n": -1}, 400, "top_n", "greater than"),
        ("rerank", {"query": "a", "documents": ["b"], "model": "x"}, 404, "model", "available"),
        ("score", {"text_1": ["a", "b"], "text_2": ["c"]}, 400, "text_1", "one for all"),
        ("score", {"text_1": ["a", "b"], "text_2": "c"}, 400, "text_1", "one for all"),
        ("score", {"text_1": [], "text_2": ["c"]}, 400, "text_1", "must not be empty"),
        ("score", {"text_1": "a", "text_2": 7}, 400, "text_2", "a text or a list of texts"),
        ("score", {"text_1": "a", "text_2": "b", "model": "x"}, 404, "model", "available models"),
        ("tokenize", {}, 400, "prompt", "Field required"),
        ("tokenize", {"prompt": ["a"]}, 400, "prompt", "valid string"),
        ("tokenize", {"prompt": "x" * 10_001}, 400, "prompt", "10001 characters"),
        ("tokenize", {"prompt": "a", "model": "x"}, 404, "model", "available models"),
    ],
)
async def test_errors_have_openais_shape(
    gateway: Running, path: str, body: dict[str, object], status: int, param: str, words: str
) -> None:
    reply = await gateway.main.post(f"/v1/{path}", json=body)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert words in error["message"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert gateway.triton.calls == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/rerank", {"query": "a", "documents": ["b"]}),
        ("/v1/score", {"text_1": "a", "text_2": "b"}),
        ("/v1/tokenize", {"prompt": "a"}),
        ("/text/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}),
        ("/text/tokenize", {"inputs": "a"}),
    ],
)
async def test_doors_and_overload(tmp_path: Path, path: str, body: dict[str, object]) -> None:
    """A key is asked for, the queue is bounded, and who leaves takes the inference along."""
    limits = {"api_key": KEY, "max_concurrent": 1, "max_waiting": 0}
    triton = FakeTriton()
    async with running_gateway(tmp_path, triton, text=limits) as gateway:
        assert (await gateway.main.post(path, json=body)).status_code == 401
        headers = {"Authorization": f"Bearer {KEY}"}
        triton.gate.clear()
        first = asyncio.ensure_future(gateway.main.post(path, json=body, headers=headers))
        await until(lambda: len(triton.calls) == 1)
        busy = await gateway.main.post(path, json=body, headers=headers)
        assert busy.status_code == 503
        assert int(busy.headers["Retry-After"]) >= 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await until(lambda: triton.cancelled == 1)
        triton.gate.set()
        assert (await gateway.main.post(path, json=body, headers=headers)).status_code == 200


async def test_similarity_byte_for_byte(gateway: Running) -> None:
    body = {"inputs": {"source_sentence": "a", "sentences": ["a", ""]}}
    for client, path in ((gateway.main, "/text/similarity"), (gateway.text, "/similarity")):
        assert (await client.post(path, json=body)).content == b"[1.0,0.0]"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"source_sentence": "a", "sentences": []}, "at least 1 item"),
        ({"source_sentence": "a", "sentences": ["a"] * 101}, "sentences array length 101 exceeds"),
        ({"source_sentence": "a", "sentences": ["x" * 10_001]}, "sentences[0] length 10001"),
        ({"source_sentence": "x" * 10_001, "sentences": ["a"]}, "source_sentence length 10001"),
        ({"source_sentence": "a"}, "Field required"),
        ("a", "should be an object"),
    ],
)
async def test_similarity_refuses(gateway: Running, inputs: object, words: str) -> None:
    reply = await gateway.text.post("/similarity", json={"inputs": inputs})
    assert reply.status_code == 422
    assert words in reply.json()["detail"][0]["msg"]
    assert gateway.triton.calls == []


async def test_similarity_by_an_unknown_model(gateway: Running) -> None:
    body = {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "model": "x"}
    reply = await gateway.text.post("/similarity", json=body)
    assert (reply.status_code, "available models" in reply.json()["detail"]) == (400, True)


async def test_tokenize_as_text_embeddings_inference(gateway: Running) -> None:
    reply = await gateway.text.post("/tokenize", json={"inputs": "Ab  c"})
    assert reply.content == (
        b'[[{"id":101,"text":"[CLS]","special":true,"start":null,"stop":null},'
        b'{"id":1000,"text":"Ab","special":false,"start":0,"stop":2},'
        b'{"id":1001,"text":"c","special":false,"start":4,"stop":5},'
        b'{"id":102,"text":"[SEP]","special":true,"start":null,"stop":null}]]'
    )
    body = {"inputs": ["a", "", "b c"], "add_special_tokens": False}
    found = (await gateway.text.post("/tokenize", json=body)).json()
    assert [[one["text"] for one in tokens] for tokens in found] == [["a"], [], ["b", "c"]]


async def test_tokenize_as_vllm(gateway: Running) -> None:
    reply = await gateway.main.post("/v1/tokenize", json={"prompt": "Ab c"})
    assert reply.content == (
        b'{"count":4,"max_model_len":256,"tokens":[101,1000,1001,102],"token_strs":null}'
    )
    body = {"prompt": "Ab c", "add_special_tokens": False, "return_token_strs": True}
    reply = await gateway.main.post("/v1/tokenize", json=body)
    assert reply.content == (
        b'{"count":2,"max_model_len":256,"tokens":[1000,1001],"token_strs":["ab","c"]}'
    )


async def test_limits_of_tokenize(gateway: Running) -> None:
    for inputs, words in (
        (["a"] * 101, "inputs array length 101 exceeds"),
        ("x" * 10_001, "inputs length 10001 exceeds"),
        (["a", "x" * 10_001], "inputs[1] length 10001 exceeds"),
    ):
        reply = await gateway.text.post("/tokenize", json={"inputs": inputs})
        assert reply.status_code == 422
        assert words in reply.json()["detail"][0]["msg"]


CROSS_ENCODER = {"triton_model": "reranking", "encoder": "cross_encoder", "aliases": ["other"]}
RERANKING = {"rerank_models": {"tiny-ranker": CROSS_ENCODER}}


async def test_a_cross_encoder(tmp_path: Path) -> None:
    """It reads every pair, and its scores are those of the model: no cosines."""
    async with running_gateway(tmp_path, text=RERANKING) as gateway:
        body = {"model": "tiny-ranker", "query": "abcd", "documents": ["a b", "abcd", "a"]}
        found = (await gateway.main.post("/v1/rerank", json=body)).json()
        assert found["results"] == [
            {"index": 1, "relevance_score": 1.0},
            {"index": 0, "relevance_score": 0.5},
            {"index": 2, "relevance_score": 0.25},
        ]
        assert (found["model"], found["usage"]["total_tokens"]) == ("tiny-ranker", 16)
        body = {"model": "other", "text_1": ["ab", "c"], "text_2": ["a", "c"]}
        data = (await gateway.main.post("/v1/score", json=body)).json()["data"]
        assert [one["score"] for one in data] == [0.5, 1.0]
        assert gateway.triton.calls == [("reranking", 3), ("reranking", 2)]
        found = (await gateway.main.get("/v1/models")).json()["data"]
        assert [one["id"] for one in found][-2:] == ["tiny-ranker", "other"]
        assert (await gateway.main.get("/v1/models/other")).status_code == 200
        refused = await gateway.main.post("/v1/embeddings", json={"input": "a", "model": "other"})
        assert refused.status_code == 404
        states = gateway.context.monitor.report()["services"]["text"]["models"]
        assert ("rerank", "ready") in [(one["task"], one["state"]) for one in states]


async def test_a_cross_encoder_in_chunks_keeps_the_order(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={**RERANKING, "embed_chunk": 8}) as gateway:
        body = {
            "model": "other",
            "query": "a",
            "documents": ["a" * (1 + i % 50) for i in range(50)],
        }
        results = (await gateway.main.post("/v1/rerank", json=body)).json()["results"]
        assert [one["index"] for one in results] == list(range(50))
        assert len(gateway.triton.calls) == 7


async def test_the_default_may_be_a_cross_encoder(tmp_path: Path) -> None:
    text = {**RERANKING, "rerank_model": "other"}
    async with running_gateway(tmp_path, text=text) as gateway:
        body = {"query": "a", "documents": ["a"]}
        assert (await gateway.main.post("/v1/rerank", json=body)).json()["model"] == "tiny-ranker"
        assert gateway.triton.calls == [("reranking", 1)]
