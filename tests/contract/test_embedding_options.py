"""Prompts and lengths of vectors, on `/embed`, `/v1/embeddings` and where texts are compared.

The stand-in's vectors are (length of what it reads, its first code point).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway, settings_for, until

MODEL = "all-MiniLM-L6-v2"
FACTS = {
    "prompts": {"query": "q: ", "passage": "p:", "clustering": "c"},
    "matryoshka_dimensions": [1, 2],
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, FakeTriton(facts=FACTS)) as running:
        yield running


async def both(gateway: Running, **options: Any) -> list[httpx.Response]:
    """Return the answers of both routes to the text "ab"."""
    return [
        await gateway.text.post("/embed", json={"texts": ["ab"], **options}),
        await gateway.main.post(
            "/v1/embeddings", json={"input": "ab", "model": MODEL, **options}
        ),
    ]  # fmt: skip


def vector(reply: httpx.Response) -> list[float]:
    body = reply.json()
    found: list[float] = (
        body["embeddings"][0] if "embeddings" in body else (body["data"][0]["embedding"])
    )
    return found


@pytest.mark.parametrize(
    ("options", "length", "first"),
    [
        ({}, 2, "a"),
        ({"input_type": None, "prompt_name": None, "dimensions": None}, 2, "a"),
        ({"input_type": "query"}, 5, "q"),
        ({"input_type": "search_query"}, 5, "q"),
        ({"input_type": "document"}, 4, "p"),
        ({"input_type": "passage"}, 4, "p"),
        ({"input_type": "search_document"}, 4, "p"),
        ({"input_type": "clustering"}, 3, "c"),
        ({"input_type": "classification"}, 2, "a"),  # the model has none for it
        ({"prompt_name": "passage"}, 4, "p"),
        ({"prompt_name": "passage", "input_type": "query"}, 4, "p"),
        ({"dimensions": 2}, 2, "a"),
    ],
)
async def test_prompts(gateway: Running, options: dict[str, Any], length: int, first: str) -> None:
    for reply in await both(gateway, **options):
        assert vector(reply) == [length, ord(first)]


async def test_cut_vectors_have_unit_length(gateway: Running) -> None:
    for reply in await both(gateway, dimensions=1):
        assert vector(reply) == [1.0]


async def test_vectors_that_never_had_unit_length_are_only_cut(tmp_path: Path) -> None:
    triton = FakeTriton(facts={**FACTS, "normalized": False})
    async with running_gateway(tmp_path, triton) as gateway:
        for reply in await both(gateway, dimensions=1):
            assert vector(reply) == [2.0]


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"dimensions": 3}, "dimensions", "dimensions must be 1 or 2 for this model"),
        ({"prompt_name": "no"}, "prompt_name", "one of this model's: clustering, passage, query"),
    ],
)
async def test_what_the_model_does_not_offer_is_refused_before_it_is_asked(
    gateway: Running, options: dict[str, Any], param: str, words: str
) -> None:
    plain, openai = await both(gateway, **options)
    assert (plain.status_code, openai.status_code) == (400, 400)
    assert words in plain.json()["detail"]
    assert words in openai.json()["error"]["message"]
    assert openai.json()["error"]["param"] == param
    assert gateway.triton.calls == []


LONG = "b" + "a" * 256
"""Longer than what the stand-in reads."""


@pytest.mark.parametrize(
    ("truncate", "expected"), [("END", [257, 98]), (None, [257, 98]), ("START", [256, 97])]
)
async def test_the_side_that_is_cut(
    gateway: Running, truncate: str | None, expected: list[float]
) -> None:
    body = {"texts": [LONG], "truncate": truncate}
    assert vector(await gateway.text.post("/embed", json=body)) == expected
    body = {"input": LONG, "model": MODEL, "truncate": truncate}
    assert vector(await gateway.main.post("/v1/embeddings", json=body)) == expected


@pytest.mark.parametrize("room", [0, 2**20])
async def test_a_text_that_may_not_be_cut_is_refused(tmp_path: Path, room: int) -> None:
    """The place is that in the request, over all chunks, with a cache as well."""
    text = {"embed_chunk": 4, "embed_cache_bytes": room}
    async with running_gateway(tmp_path, text=text) as gateway:
        texts = ["a"] * 9 + [LONG]
        words = "text 9 has more than the 256 tokens that this model reads"
        reply = await gateway.text.post("/embed", json={"texts": texts, "truncate": "NONE"})
        assert (reply.status_code, reply.json()["detail"]) == (400, words)
        body = {"input": texts, "model": MODEL, "truncate": "NONE"}
        reply = await gateway.main.post("/v1/embeddings", json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["message"] == words
        assert reply.json()["error"]["param"] == "truncate"
        body = {"input": texts[:9], "model": MODEL, "truncate": "NONE"}
        assert (await gateway.main.post("/v1/embeddings", json=body)).status_code == 200
        assert gateway.context.monitor.report()["status"] == "ready"


async def test_what_is_no_option(gateway: Running) -> None:
    for options in (
        {"dimensions": 0},
        {"input_type": "poem"},
        {"prompt_name": 7},
        {"truncate": "MIDDLE"},
    ):
        assert [reply.status_code for reply in await both(gateway, **options)] == [422, 400]


async def test_the_checkpoints_default_prompt(tmp_path: Path) -> None:
    facts = {**FACTS, "default_prompt_name": "query"}
    async with running_gateway(tmp_path, FakeTriton(facts=facts)) as gateway:
        for reply in await both(gateway):
            assert vector(reply) == [5, ord("q")]
        for reply in await both(gateway, input_type="document"):
            assert vector(reply) == [4, ord("p")]
        body = {"text_1": "ab", "text_2": "q: ab"}
        found = (await gateway.main.post("/v1/score", json=body)).json()
        assert found["data"][0]["score"] < 1  # both have got it


async def test_the_configuration_may_tell_them(tmp_path: Path) -> None:
    entry = {
        "triton_model": "text_embedding", "encoder": "sentence_encoder",
        "prompts": {"query": "Q:"}, "dimensions": [1],
    }  # fmt: skip
    async with running_gateway(tmp_path, text={"embed_models": {MODEL: entry}}) as gateway:
        for reply in await both(gateway, input_type="query"):
            assert vector(reply) == [4, ord("Q")]
        for reply in await both(gateway, dimensions=1):
            assert vector(reply) == [1.0]


async def test_documents_are_ranked_with_the_prompts(gateway: Running) -> None:
    body = {"query": "ab", "documents": ["ab"]}
    found = (await gateway.main.post("/v1/rerank", json=body)).json()
    (one, other), (left, right) = (5, ord("q")), (4, ord("p"))
    cosine = (one * left + other * right) / ((one**2 + other**2) * (left**2 + right**2)) ** 0.5
    assert found["results"][0]["relevance_score"] == pytest.approx(cosine, abs=1e-12)


async def test_a_request_before_the_model_is_known_waits_for_it(tmp_path: Path) -> None:
    """What it declares is not known yet, and its default prompt must not be left out."""
    triton = FakeTriton(facts={**FACTS, "default_prompt_name": "query"}, broken={"text_embedding"})
    health = settings_for(tmp_path).health.model_dump() | {"canary_interval_seconds": 0.05}
    async with running_gateway(tmp_path, triton, wait=False, health=health) as gateway:
        asked = asyncio.ensure_future(gateway.text.post("/embed", json={"texts": ["ab"]}))
        admission = gateway.listeners.services["text"].admission
        await until(lambda: admission.in_flight == 1)
        assert not asked.done()
        triton.broken.clear()
        assert vector(await asked) == [5, ord("q")]
