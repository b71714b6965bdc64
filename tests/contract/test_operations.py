"""Health, metrics, request ids, limits and keys: what operators rely on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fake_triton import FakeTriton
from tests.support.gateway import Running, running_gateway
from tests.support.waiting import PATIENCE, until


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


async def test_readyz_names_model_and_engine(gateway: Running) -> None:
    reply = await gateway.main.get("/readyz")
    assert reply.status_code == 200
    report = reply.json()
    assert report["status"] == "ready"
    assert report["triton"] == {"live": True, "version": "2.51.0", "warnings": []}
    text = report["services"]["text"]
    assert text["state"] == "ready"
    assert text["urls"] == [
        "http://127.0.0.1:9000/text",
        "http://127.0.0.1:8765",
        "http://127.0.0.1:9000/v1",
    ]
    (embed, bertscore) = text["models"]
    assert (embed["name"], embed["engine"]) == ("all-MiniLM-L6-v2", "onnxruntime fp32")
    assert bertscore["task"] == "bertscore"
    assert embed["canary_ms"] > 0


async def test_a_missing_model_is_reported_not_fatal(tmp_path: Path) -> None:
    triton = FakeTriton(unloadable={"token_encoder"})
    async with running_gateway(tmp_path, triton, wait=False) as gateway:
        entry = gateway.context.monitor
        await until(
            lambda: (
                [model["state"] for model in entry.report()["services"]["text"]["models"]]
                == ["ready", "missing"]
            )
        )
        reply = await gateway.main.get("/readyz")
        assert reply.status_code == 503
        embed, bertscore = reply.json()["services"]["text"]["models"]
        assert embed["state"] == "ready"
        assert bertscore["state"] == "missing"
        assert "token_encoder" in bertscore["detail"]
        body = {"candidates": ["a"], "references": ["a"]}
        assert (await gateway.text.post("/bertscore", json=body)).status_code == 503
        assert (await gateway.text.post("/embed", json={"texts": ["a"]})).status_code == 200


async def test_an_optional_service_only_degrades(tmp_path: Path) -> None:
    triton = FakeTriton(unloadable={"token_encoder"})
    health = {"optional_services": ["text"]}
    async with running_gateway(tmp_path, triton, wait=False, health=health) as gateway:
        await until(lambda: gateway.context.monitor.report()["status"] == "degraded")
        reply = await gateway.main.get("/readyz")
        assert (reply.status_code, reply.json()["status"]) == (200, "degraded")


async def test_draining_is_not_ready(gateway: Running) -> None:
    gateway.lifecycle.draining = True
    reply = await gateway.main.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (503, "draining")
    assert (await gateway.main.get("/healthz")).status_code == 200


async def test_metrics(gateway: Running) -> None:
    await gateway.text.post("/embed", json={"texts": ["a", "b"]})
    await gateway.text.get("/surely/not/here")
    # Triton's own figures are read at the end of a round.
    await until(lambda: b"pentad_triton_requests_total{" in gateway.context.metrics.render())
    text = (await gateway.main.get("/metrics")).text
    for line in (
        'pentad_requests_total{method="POST",route="/embed",service="text",status="200"} 1.0',
        'pentad_requests_total{method="GET",route="unmatched",service="text",status="404"} 1.0',
        'pentad_batch_rows_sum{model="text_embedding"} 2.0',
        'pentad_service_ready{service="text"} 1.0',
        'pentad_in_flight{service="text"} 0.0',
        'pentad_queue_waiting{service="text"} 0.0',
        'pentad_triton_requests_total{model="text_embedding",outcome="success"} 3.0',
        'pentad_shm_bytes{state="total"}',
    ):
        assert line in text, line


async def test_request_id(gateway: Running) -> None:
    kept = await gateway.text.get("/status", headers={"X-Request-Id": "abc-1.2:3"})
    assert kept.headers["x-request-id"] == "abc-1.2:3"
    for insane in ("a" * 129, "a b", "a\tb", '"', "<script>"):
        made = await gateway.text.get("/status", headers={"X-Request-Id": insane})
        assert len(made.headers["x-request-id"]) == 32


async def test_the_log_line_of_a_request(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await gateway.text.post("/embed", json={"texts": ["private words"]})
    (record,) = [r for r in caplog.records if r.name == "gateway.access"]
    fields = vars(record)
    assert (fields["service"], fields["route"], fields["status"]) == ("text", "/embed", 200)
    assert "private words" not in json.dumps(fields, default=str)


async def test_body_limit_by_header_and_while_reading(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={"max_body_bytes": 2000}) as gateway:
        declared = await gateway.text.post("/embed", json={"texts": ["x" * 3000]})

        async def stream() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b"x" * 1000

        streamed = await gateway.text.post("/embed", content=stream())
    for reply in (declared, streamed):
        assert reply.status_code == 413
        assert reply.json() == {"detail": "Request body too large: the limit is 2000 bytes"}


async def test_a_client_that_leaves_cancels_the_inference(tmp_path: Path) -> None:
    triton = FakeTriton(delay=3600)
    async with running_gateway(tmp_path, triton) as gateway:
        app = gateway.listeners.ports[8765]
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        await messages.put({"type": "http.request", "body": b'{"texts":["a"]}'})
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/embed", "raw_path": b"/embed",
            "root_path": "", "query_string": b"", "headers": [], "http_version": "1.1",
            "asgi": {"version": "3.0"}, "scheme": "http", "server": ("text", 80),
            "client": ("test", 1),
        }  # fmt: skip
        request = asyncio.create_task(app(scope, messages.get, send))
        await until(lambda: triton.calls)
        await messages.put({"type": "http.disconnect"})
        await asyncio.wait_for(request, PATIENCE)
        await until(lambda: triton.cancelled == 1)
        status = (await gateway.text.get("/status")).json()
        assert status["queue"]["in_flight"] == 0
        text = (await gateway.main.get("/metrics")).text
    assert 'route="/embed",service="text",status="499"} 1.0' in text


async def test_keys_services_and_rates(tmp_path: Path) -> None:
    keys = [
        {"name": "all", "key": "key-for-all"},
        {"name": "vision", "key": "key-for-vision", "services": ["vision"]},
        {"name": "slow", "key": "key-that-is-slow", "rate_limit": "2/minute"},
    ]
    async with running_gateway(tmp_path, security={"keys": keys}) as gateway:

        async def get(key: str, path: str = "/status") -> httpx.Response:
            return await gateway.text.get(path, headers={"X-API-Key": key})

        assert (await get("key-for-all")).status_code == 200
        assert (await get("key-for-vision")).status_code == 403
        assert (await get("unknown")).status_code == 401
        statuses = [(await get("key-that-is-slow")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert 1 <= int((await get("key-that-is-slow")).headers["retry-after"]) <= 60
        assert (await gateway.main.get("/metrics")).status_code == 401
        assert (await gateway.main.get("/healthz")).status_code == 200
        assert (await gateway.main.get("/readyz")).status_code == 200


async def test_keys_file_is_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("- {name: a, key: first-key}")
    async with running_gateway(tmp_path, security={"keys_file": file}) as gateway:

        async def status(key: str) -> int:
            return (await gateway.text.get("/status", headers={"X-API-Key": key})).status_code

        assert await status("first-key") == 200
        file.write_text("- {name: b, key: second-key}")
        import os

        os.utime(file, (1, 1))
        gateway.context.keys.reload()
        assert (await status("first-key"), await status("second-key")) == (401, 200)
        file.write_text("- {name: b")  # a half-written file leaves the old keys in force
        os.utime(file, (2, 2))
        gateway.context.keys.reload()
        assert await status("second-key") == 200
        file.write_text("[]")  # no key left does not mean everybody may call
        os.utime(file, (3, 3))
        gateway.context.keys.reload()
        assert await status("second-key") == 401


async def test_open_services(tmp_path: Path) -> None:
    security = {"keys": [{"name": "a", "key": "some-key"}], "open_services": ["text"]}
    async with running_gateway(tmp_path, security=security) as gateway:
        assert (await gateway.text.get("/status")).status_code == 200


async def test_cors(tmp_path: Path) -> None:
    cors = {"allow_origins": ["https://demo.example"]}
    server = {"cors": cors}
    async with running_gateway(tmp_path, server=server, text={"api_key": "k-123456"}) as gateway:
        headers = {"Origin": "https://demo.example", "Access-Control-Request-Method": "POST"}
        preflight = await gateway.text.options("/embed", headers=headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://demo.example"


async def test_one_openapi_document_covers_all(gateway: Running) -> None:
    document = (await gateway.main.get("/openapi.json")).json()
    assert {"/healthz", "/readyz", "/metrics", "/text/embed", "/text/bertscore"} <= set(
        document["paths"]
    )
    assert "/v1/embeddings" in document["paths"]
    own = (await gateway.text.get("/openapi.json")).json()
    assert "/embed" in own["paths"]
    assert (await gateway.main.get("/docs")).status_code == 200


async def test_a_bug_is_a_plain_500_without_its_text(
    gateway: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret text at /some/path")

    monkeypatch.setattr(gateway.triton, "infer", broken)
    reply = await gateway.text.post("/embed", json={"texts": ["a"]})
    assert reply.status_code == 500
    assert reply.json() == {"detail": "Internal server error"}
    assert "secret text" not in caplog.text
    assert "x-request-id" in reply.headers
