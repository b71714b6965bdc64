"""The text API, byte for byte as its contract page documents it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from gateway.errors import DeadlineError, InferenceError, UnavailableError
from gateway.triton.status import ModelDeadError
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway, until

DEBERTA = "microsoft/deberta-xlarge-mnli"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


async def test_health(gateway: Running) -> None:
    reply = await gateway.text.get("/health")
    assert reply.status_code == 200
    assert reply.content == b'{"status":"ok","device":"cpu"}'


async def test_info(gateway: Running) -> None:
    reply = await gateway.text.get("/info")
    assert reply.json() == {
        "device": "cpu",
        "device_name": "cpu",
        "vram_total_mb": None,
        "vram_used_mb": None,
        "pytorch_version": "not used (Triton 2.51.0)",
        "cuda_version": None,
        "loaded_models": ["bertscore:all-MiniLM-L6-v2", "embed:all-MiniLM-L6-v2"],
    }
    assert next(iter(reply.json())) == "device"


async def test_embed(gateway: Running) -> None:
    reply = await gateway.text.post("/embed", json={"texts": ["abc", "", "zz"]})
    assert reply.status_code == 200
    assert reply.content == (
        b'{"embeddings":[[3.0,97.0],[0.0,0.0],[2.0,122.0]],'
        b'"model":"all-MiniLM-L6-v2","dimensions":2}'
    )


async def test_embed_echoes_the_name_as_requested(gateway: Running) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    reply = await gateway.text.post("/embed", json={"texts": ["a"], "model": name})
    assert reply.json()["model"] == name


async def test_embed_of_nothing(gateway: Running) -> None:
    reply = await gateway.text.post("/embed", json={"texts": []})
    assert reply.content == b'{"embeddings":[],"model":"all-MiniLM-L6-v2","dimensions":0}'


async def test_embed_keeps_order_over_many_chunks(gateway: Running) -> None:
    texts = [chr(97 + i % 26) * (1 + i * 7 % 60) for i in range(100)]
    reply = await gateway.text.post("/embed", json={"texts": texts})
    assert reply.json()["embeddings"] == [[len(t), ord(t[0])] for t in texts]
    assert [rows for _, rows in gateway.triton.calls] == [32, 32, 32, 4]


async def test_bertscore_goes_to_triton_whole_and_in_order(gateway: Running) -> None:
    """How bert-score counts negative cosines depends on its blocks of 64 pairs in order."""
    words = [str(index * 37 % 100) for index in range(100)]
    body = {"candidates": words, "references": words}
    assert (await gateway.text.post("/bertscore", json=body)).status_code == 200
    assert gateway.triton.calls == [("bertscore", 100)]


async def test_bertscore(gateway: Running) -> None:
    body = {"candidates": ["a", "b"], "references": ["a", "c"], "lang": "en", "model_type": DEBERTA}
    reply = await gateway.text.post("/bertscore", json=body)
    assert reply.status_code == 200
    # float32 0.9 widened to a double: every digit the model computed
    assert reply.content == (
        b'{"precision":[0.8999999761581421,0.0],"recall":[0.800000011920929,0.0],'
        b'"f1":[0.8500000238418579,0.0],"model":"all-MiniLM-L6-v2"}'
    )


async def test_bertscore_of_nothing(gateway: Running) -> None:
    reply = await gateway.text.post("/bertscore", json={"candidates": [], "references": []})
    assert reply.content == b'{"precision":[],"recall":[],"f1":[],"model":"all-MiniLM-L6-v2"}'


async def test_bertscore_lengths_differ(gateway: Running) -> None:
    reply = await gateway.text.post("/bertscore", json={"candidates": ["a"], "references": []})
    assert reply.status_code == 400
    assert reply.content == b'{"detail":"candidates and references must have equal length"}'


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/embed", {"texts": ["a"], "model": "gpt2"}, "all-MiniLM-L6-v2"),
        ("/bertscore", {"candidates": ["a"], "references": ["b"], "model_type": "../etc"}, DEBERTA),
    ],
)
async def test_unknown_model_lists_the_known(
    gateway: Running, path: str, body: dict[str, object], names: str
) -> None:
    reply = await gateway.text.post(path, json=body)
    assert reply.status_code == 400
    assert names in reply.json()["detail"]
    assert "etc" not in reply.json()["detail"]


async def test_lang_chooses_within_the_catalogue(gateway: Running) -> None:
    body = {"candidates": ["a"], "references": ["a"], "lang": "en-GB"}
    assert (await gateway.text.post("/bertscore", json=body)).status_code == 200
    reply = await gateway.text.post("/bertscore", json={**body, "lang": "xx"})
    assert reply.status_code == 400
    assert reply.json() == {"detail": "No model for this lang; available languages: en"}
    named = {**body, "lang": "xx", "model_type": DEBERTA}
    assert (await gateway.text.post("/bertscore", json=named)).status_code == 200


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a"] * 101, "texts array length 101 exceeds max batch size of 100"),
        (["ok", "x" * 10_001], "texts[1] length 10001 exceeds max text length of 10000"),
    ],
)
async def test_limits(gateway: Running, texts: list[str], message: str) -> None:
    reply = await gateway.text.post("/embed", json={"texts": texts})
    assert reply.status_code == 422
    (problem,) = reply.json()["detail"]
    assert problem["type"] == "value_error"
    assert problem["loc"] == ["body", "texts"]
    assert problem["msg"] == f"Value error, {message}"
    assert problem["input"] == texts
    assert problem["ctx"] == {"error": {}}


async def test_limits_count_code_points(gateway: Running) -> None:
    reply = await gateway.text.post("/embed", json={"texts": ["😀" * 10_000]})
    assert reply.status_code == 200


async def test_both_lists_of_bertscore_are_limited(gateway: Running) -> None:
    body = {"candidates": ["a"] * 101, "references": ["x" * 10_001]}
    detail = (await gateway.text.post("/bertscore", json=body)).json()["detail"]
    assert [item["msg"] for item in detail] == [
        "Value error, candidates array length 101 exceeds max batch size of 100",
        "Value error, references[0] length 10001 exceeds max text length of 10000",
    ]


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"", "missing", ["body"]),
        (b"{", "json_invalid", ["body"]),
        (b"\xff\xfe", "json_invalid", ["body"]),
        (b'{"texts":["\\ud800"]}', "json_invalid", ["body"]),
        (b"[]", "model_type", ["body"]),
        (b"{}", "missing", ["body", "texts"]),
        (b'{"texts":"abc"}', "list_type", ["body", "texts"]),
        (b'{"texts":[1]}', "string_type", ["body", "texts", 0]),
        (b'{"texts":null}', "list_type", ["body", "texts"]),
    ],
)
async def test_wrong_bodies(gateway: Running, body: bytes, kind: str, loc: list[object]) -> None:
    reply = await gateway.text.post("/embed", content=body)
    assert reply.status_code == 422
    (problem,) = reply.json()["detail"]
    assert (problem["type"], problem["loc"]) == (kind, loc)
    assert {"type", "loc", "msg", "input"} <= set(problem)


@pytest.mark.parametrize("size", [0, 2 * 2**20])
async def test_a_large_wrong_body_is_told_as_a_small_one(gateway: Running, size: int) -> None:
    for body, message in (
        (b"[]", "Input should be an object"),
        (b'{"texts": {}}', "Input should be a valid array"),
        (b'{"texts": [1]}', "Input should be a valid string"),
        (b'{"texts": ["a"], "model": null}', "Input should be a valid string"),
        (b'{"texts": [', "JSON decode error"),
    ):
        reply = await gateway.text.post("/embed", content=b" " * size + body)
        (problem,) = reply.json()["detail"]
        assert (reply.status_code, problem["msg"]) == (422, message)


async def test_content_type_does_not_matter(gateway: Running) -> None:
    headers = {"content-type": "text/plain"}
    reply = await gateway.text.post("/embed", content=b'{"texts":["a"]}', headers=headers)
    assert reply.status_code == 200


async def test_status_shows_running_jobs(tmp_path: Path) -> None:
    triton = FakeTriton()
    async with running_gateway(
        tmp_path, triton, text={"max_concurrent": 2, "chunks_in_flight": 2}
    ) as gateway:
        idle = (await gateway.text.get("/status")).json()
        assert idle == {
            "queue": {
                "max_concurrent": 2,
                "in_flight": 0,
                "available_slots": 2,
                "waiting_estimate": 0,
            },
            "active_jobs": [],
        }
        first, rest = triton.gate, asyncio.Event()
        first.clear()
        body = {"texts": ["a"] * 96}
        jobs = [asyncio.create_task(gateway.text.post("/embed", json=body)) for _ in range(3)]
        await until(lambda: len(triton.calls) == 4)  # two of three chunks of two jobs
        triton.gate = rest
        first.set()
        await until(lambda: len(triton.calls) == 6)  # those are done, the last ones under way
        status = (await gateway.text.get("/status")).json()
        rest.set()
        await asyncio.gather(*jobs)
    assert status["queue"] == {
        "max_concurrent": 2,
        "in_flight": 2,
        "available_slots": 0,
        "waiting_estimate": 1,
    }
    job = status["active_jobs"][0]
    assert set(job) == {"id", "type", "started_at", "items", "model", "progress"}
    assert (job["type"], job["items"], job["model"]) == ("embed", 96, "all-MiniLM-L6-v2")
    assert job["progress"] == pytest.approx(2 / 3, abs=1e-3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", job["started_at"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-.{12}", job["id"])


async def test_busy_is_503_with_integer_retry_after(tmp_path: Path) -> None:
    limits = {"max_concurrent": 1, "max_waiting": 1, "slot_wait_seconds": 0.05}
    async with running_gateway(tmp_path, text=limits) as gateway:
        gateway.triton.gate.clear()
        body = {"texts": ["a"]}
        sent = [asyncio.create_task(gateway.text.post("/embed", json=body)) for _ in range(3)]
        await until(lambda: sum(one.done() for one in sent) == 2)
        gateway.triton.gate.set()
        replies = await asyncio.gather(*sent)
    assert sorted(reply.status_code for reply in replies) == [200, 503, 503]
    for reply in replies:
        if reply.status_code == 503:
            assert reply.content == b'{"detail":"GPU busy - retry later"}'
            assert re.fullmatch(r"[1-9]\d*", reply.headers["retry-after"])


@pytest.mark.parametrize(
    ("failure", "status", "retry"),
    [
        (UnavailableError(retry_after=2), 503, "2"),
        (ModelDeadError("sentence_encoder"), 200, None),  # asked again
        (DeadlineError(), 504, None),
        (InferenceError(), 502, None),
    ],
)
async def test_failures_of_triton(
    gateway: Running, failure: Exception, status: int, retry: str | None
) -> None:
    gateway.triton.failures.append(failure)  # type: ignore[arg-type]
    reply = await gateway.text.post("/embed", json={"texts": ["a"]})
    assert reply.status_code == status
    assert reply.headers.get("retry-after") == retry
    assert status == 200 or isinstance(reply.json()["detail"], str)


async def test_down_is_503_everywhere(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, FakeTriton(is_live=False), wait=False) as gateway:
        await until(lambda: not gateway.context.monitor.triton_live)
        for reply in (
            await gateway.text.get("/health"),
            await gateway.text.post("/embed", json={"texts": ["a"]}),
        ):
            assert reply.status_code == 503
            assert reply.headers["retry-after"].isdigit()
        assert (await gateway.text.get("/info")).json()["loaded_models"] == []


async def test_everything_but_health_needs_the_key(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={"api_key": "s3cret-key"}) as gateway:
        assert (await gateway.text.get("/health")).status_code == 200
        for path in ("/info", "/status", "/docs", "/openapi.json", "/nope", "/health/"):
            reply = await gateway.text.get(path)
            assert reply.status_code == 401, path
            assert reply.content == b'{"detail":"Unauthorized"}'
        wrong = await gateway.text.post("/embed", content=b"{", headers={"X-API-Key": "s3cret"})
        assert wrong.status_code == 401  # before validation
        for headers in ({"X-API-Key": "s3cret-key"}, {"Authorization": "Bearer s3cret-key"}):
            reply = await gateway.text.post("/embed", json={"texts": ["a"]}, headers=headers)
            assert reply.status_code == 200
        assert (await gateway.main.get("/text/info")).status_code == 401
        assert (await gateway.main.get("/text/health")).status_code == 200


async def test_the_prefix_serves_the_same(gateway: Running) -> None:
    for path, body in (
        ("/embed", {"texts": ["a", "bb"]}),
        ("/bertscore", {"candidates": ["a"], "references": ["a"]}),
    ):
        own = await gateway.text.post(path, json=body)
        prefixed = await gateway.main.post("/text" + path, json=body)
        assert own.content == prefixed.content
        assert own.status_code == 200


async def test_floats_are_plain_json(gateway: Running) -> None:
    reply = await gateway.text.post("/embed", json={"texts": ["a"]})
    assert orjson.loads(reply.content)["embeddings"] == [[1.0, 97.0]]
