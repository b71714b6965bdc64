"""The cache of embeddings: off unless asked for, bounded, and invisible in the answers."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import InferenceError
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway

MODEL = "all-MiniLM-L6-v2"
ROOM = {"embed_cache_bytes": 2**20}
TEXTS = ["two words", "abc", "two words", ""]


async def embed(gateway: Running, texts: list[str], **options: object) -> bytes:
    reply = await gateway.text.post("/embed", json={"texts": texts, **options})
    assert reply.status_code == 200
    return reply.content


async def metric(gateway: Running, name: str) -> dict[str, float]:
    text = (await gateway.main.get("/metrics")).text
    lines = [
        line for line in text.splitlines() if line.startswith(f"pentad_embedding_cache_{name}")
    ]
    return {line.partition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_it_is_off_by_itself(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert await embed(gateway, TEXTS) == await embed(gateway, TEXTS)
        assert gateway.triton.calls == [("text_embedding", 4)] * 2
        assert await metric(gateway, "texts_total") == {}


async def test_the_same_answers_from_fewer_calls(tmp_path: Path) -> None:
    for name in ("off", "on"):
        (tmp_path / name).mkdir()
    async with running_gateway(tmp_path / "off") as gateway:
        plain = await embed(gateway, TEXTS)
        openai = await gateway.main.post("/v1/embeddings", json={"input": TEXTS, "model": MODEL})
    async with running_gateway(tmp_path / "on", text=ROOM) as gateway:
        assert await embed(gateway, TEXTS) == plain
        assert await embed(gateway, TEXTS) == plain
        reply = await gateway.main.post("/v1/embeddings", json={"input": TEXTS, "model": MODEL})
        assert reply.content == openai.content  # with the tokens
        assert gateway.triton.calls == [("text_embedding", 3)]  # each distinct text once
        assert await embed(gateway, ["abc", "new"]) != plain
        assert gateway.triton.calls == [("text_embedding", 3), ("text_embedding", 1)]
        assert await metric(gateway, "texts_total") == {
            'pentad_embedding_cache_texts_total{model="text_embedding",outcome="hit"}': 9.0,
            'pentad_embedding_cache_texts_total{model="text_embedding",outcome="miss"}': 5.0,
        }
        (size,) = (await metric(gateway, "bytes")).values()
        assert 4 * 400 < size < 4 * 500


async def test_prompts_and_lengths_are_told_apart(tmp_path: Path) -> None:
    facts = {"prompts": {"query": "q: "}, "matryoshka_dimensions": [1]}
    async with running_gateway(tmp_path, FakeTriton(facts=facts), text=ROOM) as gateway:
        first = [
            await embed(gateway, ["ab"], **options)
            for options in ({}, {"input_type": "query"}, {"dimensions": 1})
        ]
        assert len(set(first)) == 3
        assert len(gateway.triton.calls) == 2  # cut from the same vector
        again = [
            await embed(gateway, ["ab"], **options)
            for options in ({}, {"input_type": "query"}, {"dimensions": 1})
        ]
        assert again == first
        assert len(gateway.triton.calls) == 2


async def test_other_weights_are_another_model(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, FakeTriton(facts={"sha256": "a"}), text=ROOM) as gateway:
        await embed(gateway, ["ab"])
        gateway.listeners.services["text"].models[0].info["sha256"] = "b"
        await embed(gateway, ["ab"])
        assert len(gateway.triton.calls) == 2


async def test_it_is_bounded(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={"embed_cache_bytes": 1100}) as gateway:  # two texts
        for text in ("a", "b", "a", "c", "a", "b"):
            await embed(gateway, [text])
        assert len(gateway.triton.calls) == 4  # a and b, then c for b, then b again
        assert (await metric(gateway, "bytes")).popitem()[1] <= 1100
        assert len(await embed(gateway, ["a", "b", "c", "d", "e"])) > 0


async def test_nothing_is_kept_of_a_failure(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text=ROOM) as gateway:
        gateway.triton.failures.append(InferenceError())
        assert (await gateway.text.post("/embed", json={"texts": ["ab"]})).status_code == 502
        await embed(gateway, ["ab"])
        assert len(gateway.triton.calls) == 2
