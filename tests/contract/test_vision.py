"""The vision API against its documented words, with a stand-in for Triton."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.errors import BusyError, UnavailableError
from tests.support.gateway import Running, running_gateway
from tests.support.triton_metrics import Endpoint
from tests.support.waiting import PATIENCE, until

PICTURE = ("cat.jpg", b"pretend", "image/jpeg")
KEYS = {"keys": [{"name": "ci", "key": "sesame-opens"}]}
TOP5 = [
    {"label": "tench", "confidence": 0.5},
    {"label": "goldfish", "confidence": 0.25},
    {"label": "great white shark", "confidence": 0.125},
    {"label": "tiger shark", "confidence": 0.0625},
    {"label": "hammerhead", "confidence": 0.03125},
]
ANSWER = {
    "top1": TOP5[0],
    "top5": TOP5,
    "latency_ms": 4.0,
    "throughput_fps": 250.0,
    "engine": "onnxruntime fp32",
    "batch_size": 3,
    "model": "all-MiniLM-L6-v2",  # the stand-in has one name for all
}
NOT_AN_IMAGE = (
    "Provided file is not a valid image. JPEG, PNG, WebP, GIF, BMP and AVIF pictures are read."
)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


async def test_infer_byte_for_byte_on_both_ports(gateway: Running) -> None:
    own = await gateway.vision.post("/infer", files={"file": PICTURE})
    main = await gateway.main.post("/vision/infer", files={"file": PICTURE})
    assert own.status_code == main.status_code == 200
    assert own.headers["content-type"] == "application/json"
    assert own.content == main.content == orjson.dumps(ANSWER)


async def test_the_type_and_name_of_the_file_do_not_matter(gateway: Running) -> None:
    for name, kind in (("x", "text/plain"), ("image.png", "image/png"), ("é.bin", "")):
        reply = await gateway.vision.post("/infer", files={"file": (name, b"pretend", kind)})
        assert reply.status_code == 200


async def test_an_empty_file(gateway: Running) -> None:
    reply = await gateway.vision.post("/infer", files={"file": ("a", b"")})
    assert (reply.status_code, reply.json()) == (400, {"detail": "Uploaded file is empty."})
    assert gateway.triton.calls == []


@pytest.mark.parametrize(
    ("code", "status", "detail"),
    [
        ("image_empty", 400, "Uploaded file is empty."),
        ("image_invalid", 400, NOT_AN_IMAGE),
        ("image_truncated", 400, "Provided file is a truncated or damaged image."),
        ("image_too_large", 413, "The image has too many pixels."),
        ("image_new_reason", 400, NOT_AN_IMAGE),
    ],
)
async def test_refusals_of_the_model(gateway: Running, code: str, status: int, detail: str) -> None:
    reply = await gateway.vision.post("/infer", files={"file": ("a", code.encode())})
    assert (reply.status_code, reply.json()) == (status, {"detail": detail})


async def test_no_file_field(gateway: Running) -> None:
    missing = {"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": None}
    for sent in ({"files": {"other": PICTURE}}, {"content": b""}, {"json": {}}):
        reply = await gateway.vision.post("/infer", **sent)  # type: ignore[arg-type]
        assert (reply.status_code, reply.json()) == (422, {"detail": [missing]})
    text = await gateway.vision.post("/infer", files={"file": (None, "words")})
    assert text.status_code == 422
    assert text.json()["detail"][0]["loc"] == ["body", "file"]


async def test_a_malformed_form_is_400(gateway: Running) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    reply = await gateway.vision.post("/infer", content=b"--b\r\nnonsense", headers=headers)
    assert reply.status_code in (400, 422)
    assert set(reply.json()) == {"detail"}
    nameless = {"content-type": "multipart/form-data"}
    reply = await gateway.vision.post("/infer", content=b"x", headers=nameless)
    assert reply.status_code == 400
    assert isinstance(reply.json()["detail"], str)


async def test_too_many_bytes(tmp_path: Path) -> None:
    vision = {"max_image_bytes": 2048, "max_body_bytes": 4096}
    async with running_gateway(tmp_path, vision=vision) as gateway:
        for size in (3000, 50_000):
            reply = await gateway.vision.post("/infer", files={"file": ("a", b"x" * size)})
            assert reply.status_code == 413
            assert "limit is" in reply.json()["detail"]
        assert gateway.triton.calls == []


async def test_a_batch_keeps_its_order_and_its_bad_file_to_itself(gateway: Running) -> None:
    names = [f"{n}.jpg" for n in range(20)]
    files = [("files", (name, b"pretend")) for name in names]
    files[3] = ("files", ("bad.txt", b"image_invalid"))
    files[7] = ("files", ("empty.jpg", b""))
    reply = await gateway.vision.post("/infer/batch", files=files)
    assert reply.status_code == 200
    results = reply.json()["results"]
    expected: list[dict[str, Any]] = [{"filename": name, **ANSWER} for name in names]
    detail = NOT_AN_IMAGE
    expected[3] = {"filename": "bad.txt", "error": {"status": 400, "detail": detail}}
    empty = {"status": 400, "detail": "Uploaded file is empty."}
    expected[7] = {"filename": "empty.jpg", "error": empty}
    assert results == expected


async def test_a_batch_fails_as_a_whole_when_the_service_does(gateway: Running) -> None:
    gateway.triton.failures.append(BusyError(retry_after=3))
    reply = await gateway.vision.post("/infer/batch", files=[("files", PICTURE)] * 4)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "3")


async def test_limits_of_a_batch(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, vision={"max_files": 2}) as gateway:
        many = await gateway.vision.post("/infer/batch", files=[("files", PICTURE)] * 3)
        assert many.status_code == 422
        assert many.json()["detail"][0]["type"] == "too_long"
        none = await gateway.vision.post("/infer/batch", files=[("file", PICTURE)])
        assert none.json()["detail"][0]["type"] == "missing"


async def test_overload_is_503_with_retry_after(tmp_path: Path) -> None:
    vision = {"max_concurrent": 1, "max_waiting": 0}
    async with running_gateway(tmp_path, vision=vision) as gateway:
        gateway.triton.gate.clear()
        sent = [
            asyncio.create_task(gateway.vision.post("/infer", files={"file": PICTURE}))
            for _ in range(3)
        ]
        await until(lambda: sum(one.done() for one in sent) == 2)
        gateway.triton.gate.set()
        replies = await asyncio.gather(*sent)
        assert sorted(reply.status_code for reply in replies) == [200, 503, 503]
        busy = next(reply for reply in replies if reply.status_code == 503)
        assert int(busy.headers["retry-after"]) >= 1


async def test_health_follows_the_models(gateway: Running) -> None:
    assert (await gateway.vision.get("/health")).json() == {"status": "ok"}
    gateway.triton.failures.append(UnavailableError(retry_after=1))
    await gateway.vision.post("/infer", files={"file": PICTURE})
    assert (await gateway.vision.get("/health")).status_code in (200, 503)


async def test_gpu_samples_come_at_once(tmp_path: Path) -> None:
    rare = {"gpu": {"interval_seconds": 3600.0}}
    async with running_gateway(tmp_path, telemetry=rare) as gateway:
        asked = gateway.vision.get("/metrics/gpu", params={"samples": 120})
        reply = await asyncio.wait_for(asked, PATIENCE)  # no next sample comes so soon
        assert len(reply.json()["samples"]) == 1


async def test_gpus_of_triton_under_their_own_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint()
    monkeypatch.setenv("PENTAD_TRITON__METRICS_URL", endpoint.url)
    async with running_gateway(tmp_path, telemetry={"gpu": {"source": "triton"}}) as gateway:
        found = (await gateway.vision.get("/metrics/gpus")).json()
        metrics = (await gateway.main.get("/metrics")).text
    endpoint.server.shutdown()
    endpoint.server.server_close()
    assert found["source"] == "triton"
    first, second = found["gpus"]
    assert (first["device"], first["state"]) == ("GPU-0a0b0c0d", "live")
    assert first["samples"][-1]["memory_total_mb"] is None
    assert second["samples"][-1]["memory_total_mb"] == 81920
    labels = 'device="GPU-1f2e3d4c",gpu="1",source="triton"'
    assert f"pentad_gpu_utilization_ratio{{{labels}}} 0.37" in metrics
    assert "virtual-gpu" not in metrics


async def test_no_gpu_is_invented_where_one_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENTAD_TRITON__METRICS_URL", "http://127.0.0.1:1/metrics")
    wanted = {"gpu": {"dcgm_address": "127.0.0.1:1"}}
    async with running_gateway(tmp_path, telemetry=wanted) as gateway:
        found = (await gateway.vision.get("/metrics/gpu")).json()
        metrics = (await gateway.main.get("/metrics")).text
    assert found["source"] != "stub"
    assert (found["device"], found["state"], found["samples"]) == (None, "lost", [])
    assert "virtual-gpu" not in metrics


async def test_gpu_samples(gateway: Running) -> None:
    found = (await gateway.vision.get("/metrics/gpu", params={"samples": 120})).json()
    assert set(found) == {"samples", "source", "interval_s", "device", "gpu", "state"}
    assert (found["interval_s"], found["gpu"]) == (2.0, 0)
    assert found["source"] in ("dcgm", "nvml", "stub")
    assert set(found["samples"][0]) == {
        "gpu_util", "mem_util", "memory_used_mb", "memory_total_mb",
        "power_w", "power_limit_w", "temperature_c", "timestamp",
    }  # fmt: skip
    every = (await gateway.vision.get("/metrics/gpus")).json()
    assert every["source"] == found["source"]
    assert every["gpus"][0]["samples"][-1:] == found["samples"][-1:]


@pytest.mark.parametrize("query", ["samples=0", "samples=121", "samples=x", "gpu=-1", "samples="])
async def test_gpu_query_out_of_range(gateway: Running, query: str) -> None:
    reply = await gateway.vision.get(f"/metrics/gpu?{query}")
    assert reply.status_code == 422
    (problem,) = reply.json()["detail"]
    assert problem["loc"] == ["query", query.partition("=")[0]]


async def test_an_unknown_gpu_is_404(gateway: Running) -> None:
    reply = await gateway.vision.get("/metrics/gpu?gpu=99")
    assert (reply.status_code, reply.json()) == (404, {"detail": "There is no GPU 99"})


async def test_any_origin_may_call_as_before(gateway: Running) -> None:
    origin = {"Origin": "http://demo.example"}
    for client, path in ((gateway.vision, "/infer"), (gateway.main, "/vision/infer")):
        ask = {**origin, "Access-Control-Request-Method": "POST"}
        assert (await client.options(path, headers=ask)).status_code == 200
        reply = await client.post(path, files={"file": PICTURE}, headers=origin)
        assert reply.headers["access-control-allow-origin"] == "*"
    other = await gateway.vision.get("/services", headers=origin)
    assert "access-control-allow-origin" not in other.headers


async def test_the_old_port_answers_the_main_ports_paths_too(gateway: Running) -> None:
    assert (await gateway.vision.get("/services")).status_code == 200
    assert (await gateway.vision.get("/healthz")).json() == {"status": "alive"}
    reply = await gateway.vision.post("/vision/infer", files={"file": PICTURE})
    assert reply.status_code == 200
    document = (await gateway.vision.get("/openapi.json")).json()
    assert document["info"]["title"] == "GPU-Accelerated Vision Inference Dashboard"
    assert document["info"]["version"] == "0.1.0"
    assert (await gateway.vision.get("/nothing")).status_code == 404


async def test_keys_cover_vision(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, security=KEYS) as gateway:
        assert (await gateway.vision.post("/infer", files={"file": PICTURE})).status_code == 401
        for path in ("/metrics/gpu", "/services", "/vision/metrics/gpu"):
            assert (await gateway.vision.get(path)).status_code == 401
        headers = {"X-API-Key": "sesame-opens"}
        reply = await gateway.vision.post("/infer", files={"file": PICTURE}, headers=headers)
        assert reply.status_code == 200
        assert (await gateway.vision.get("/services", headers=headers)).status_code == 200
        assert (await gateway.vision.get("/health")).status_code == 200


async def test_services_tell_what_happened(gateway: Running) -> None:
    for _ in range(9):
        await gateway.vision.post("/infer", files={"file": PICTURE})
    await gateway.vision.post("/infer", files={"file": ("a", b"image_invalid")})
    found = (await gateway.main.get("/services")).json()
    assert found["status"] == "ready"
    by_name = {service["name"]: service for service in found["services"]}
    assert set(by_name) == {"iot", "text", "vision"}
    vision = by_name["vision"]
    assert vision["state"] == "ready"
    assert vision["queue"] == {"slots": 64, "in_flight": 0, "waiting": 0}
    assert vision["requests_per_second"] > 0
    assert vision["p50_ms"] <= vision["p95_ms"]
    (error,) = vision["recent_errors"]
    assert (error["route"], error["status"]) == ("/infer", 400)
    assert error["detail"] == NOT_AN_IMAGE
    assert by_name["text"]["requests_per_second"] == 0
    assert by_name["text"]["p50_ms"] is None


async def test_recent_errors_hold_no_input(gateway: Running) -> None:
    await gateway.text.post("/embed", json={"texts": 5, "model": "secret words"})
    found = (await gateway.main.get("/services")).text
    assert "body.texts" in found
    assert "secret" not in found
