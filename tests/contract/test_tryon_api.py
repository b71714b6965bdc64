"""The documented try-on API: bodies, texts, headers, order of checks."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.tiny_pictures import padded, picture, png
from tests.support.tryon_gateway import tryon_form, tryon_gateway
from tests.support.tryon_triton import TryonTriton
from tests.support.waiting import until, usual

ACCEPTED = "Job queued for processing"
SELDOM = {"canary_interval_seconds": 3600}  # no canary undoes what a test says of the model
FIVE = {
    "vton_inference_count", "vton_inference_latency_ms", "vton_inference_errors_total",
    "gpu_memory_used_bytes", "gpu_utilization_percent",
}  # fmt: skip


async def test_probes_when_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMIT", "abc123")
    async with tryon_gateway(tmp_path, tryon={"server": {"node_id": "n-7", "port": 8080}}) as g:
        health = await g.own.get("/health")
        assert health.json() == {"status": "ok", "model_loaded": True, "node_id": "n-7"}
        test = await g.own.get("/test")
        assert test.json() == {
            "status": "hot", "model_loaded": True, "node_id": "n-7", "model_type": "qwen",
        }  # fmt: skip
        status = await g.own.get("/gpu/status")
        assert status.json() == {
            "node_id": "n-7", "busy": False, "current_job_id": None, "queue_length": 0,
        }  # fmt: skip
        version = (await g.own.get("/version")).json()
        assert version == {
            "model_type": "qwen", "model_version": "1.0.0", "backend": "scripted",
            "git_commit": "abc123", "node_id": "n-7",
        }  # fmt: skip
        assert (await g.running.main.get("/vton/health")).json() == health.json()


async def test_probes_while_loading(tmp_path: Path) -> None:
    often = {"canary_interval_seconds": 0.05}
    triton = TryonTriton(is_loaded=False)
    async with tryon_gateway(tmp_path, triton, wait=False, health=often) as g:
        await until(lambda: triton.described >= 3)
        health = await g.own.get("/health")
        assert (health.status_code, health.json()["model_loaded"]) == (200, False)
        test = await g.own.get("/test")
        assert test.status_code == 200
        body = test.json()
        assert (body["status"], body["model_loaded"], body["model_type"]) == (
            "loading",
            False,
            None,
        )
        for refused in (await g.submit(), await g.infer()):
            assert refused.status_code == 503
            assert refused.json() == {"detail": "Models not loaded yet"}
        assert g.triton.unloads == []  # a model that loads is not reloaded for that


async def test_probes_answer_within_300_ms_during_inference(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.gate.clear()  # the inference ends when the probes have answered
        assert (await g.submit("slow")).status_code == 202
        await g.until("slow", "running")
        for path in ("/health", "/test", "/metrics", "/gpu/status"):
            took = []
            for _ in range(9):
                begin = time.perf_counter()
                assert (await g.own.get(path)).status_code == 200
                took.append(time.perf_counter() - begin)
            assert usual(took) < 0.3
        await until(lambda: g.service.slot.queued == 0)  # is counted now and then
        status = (await g.own.get("/gpu/status")).json()
        assert (status["busy"], status["current_job_id"], status["queue_length"]) == (
            True,
            "slow",
            0,
        )


async def test_accepted(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        job_id = str(uuid.uuid4())
        reply = await g.submit(job_id)
        assert reply.status_code == 202
        assert reply.json() == {"status": "accepted", "job_id": job_id, "message": ACCEPTED}
        assert reply.headers["location"] == f"/jobs/{job_id}"
        other = await g.running.main.post(
            "/vton/tryon", data=tryon_form(job_id)[0], files=tryon_form(job_id)[1]
        )
        assert (other.status_code, other.headers["location"]) == (202, f"/vton/jobs/{job_id}")


async def test_busy_as_documented(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.gate.clear()
        assert (await g.submit("one")).status_code == 202
        await g.until("one", "running")
        busy = await g.submit("two")
        assert busy.status_code == 429
        assert busy.json() == {
            "status": "busy", "message": "GPU server is currently busy", "retry_after": 5,
        }  # fmt: skip
        assert busy.headers["retry-after"] == "5"
        direct = await g.infer()
        assert (direct.status_code, direct.json()) == (429, {"detail": "GPU is busy"})
        assert int(direct.headers["retry-after"]) > 0
        assert (await g.submit("one")).status_code == 202  # the same job again is no new one
        g.triton.gate.set()
        await g.until("one", "delivered")
        assert (await g.submit("two")).status_code == 202
        assert (await g.own.get("/jobs")).json()["counts"].keys() >= {"delivered"}


async def test_infer_as_documented(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        reply = await g.infer(seed="7", steps="3", cfg="2.5", prompt="red")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
        assert reply.content.startswith(b"\x89PNG")
        assert reply.headers["x-inference-time-ms"].isdigit()
        uuid.UUID(reply.headers["x-job-id"], version=4)
        assert reply.headers["x-seed"] == "7"
        assert g.triton.runs[-1] | {"job_id": None} == {
            "seed": 7, "steps": 3, "cfg": 2.5, "prompt": "red", "output_format": "png",
            "job_id": None, "resolution": "720p",
        }  # fmt: skip
        assert (await g.infer(seed="7")).content == reply.content  # same seed, same bytes
        assert (await g.infer(seed="8")).content != reply.content
        assert (await g.infer()).headers["x-seed"] == "42"
        assert (await g.own.get("/jobs")).json()["jobs"] == []  # no job, no callback


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seed": "-1"}, "seed"), ({"seed": "2147483648"}, "seed"), ({"steps": "0"}, "steps"),
     ({"steps": "51"}, "steps"), ({"cfg": "0"}, "cfg"), ({"cfg": "nan"}, "cfg"),
     ({"seed": "x"}, "seed"), ({"steps": "1.5"}, "steps")],
)  # fmt: skip
async def test_infer_s_ranges(tmp_path: Path, changes: dict[str, str], field: str) -> None:
    async with tryon_gateway(tmp_path) as g:
        reply = await g.infer(**changes)
        assert reply.status_code == 422
        assert reply.json()["detail"][0]["loc"] == ["body", field]
        assert g.triton.runs == []


@pytest.mark.parametrize(
    ("failure", "status"), [("input", 400), ("pose", 422), ("garment", 422), ("pipeline", 500)]
)
async def test_infer_s_errors_name_the_step(tmp_path: Path, failure: str, status: int) -> None:
    async with tryon_gateway(tmp_path) as g:
        garment = png(extra=f"fail:{failure}:Inference;".encode())
        reply = await g.infer(garment_image=garment)
        assert reply.status_code == status
        assert "(Inference)" in reply.json()["detail"]


async def test_infer_s_client_that_leaves_cancels(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.gate.clear()
        sent: list[Any] = []
        form = httpx.Request(
            "POST", "http://localhost/infer",
            files={"masked_user_image": png(), "garment_image": png()},
        )  # fmt: skip
        body = form.read()
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(k.lower().encode(), v.encode()) for k, v in form.headers.items()]
        scope = {
            "type": "http", "method": "POST", "path": "/infer", "raw_path": b"/infer",
            "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
            "server": ("own", 80), "client": ("c", 1), "root_path": "", "asgi": {"version": "3.0"},
        }  # fmt: skip
        app = g.running.listeners.ports[8080]
        call = asyncio.ensure_future(app(scope, receive, send))  # type: ignore[arg-type]
        await until(lambda: g.triton.at_once == 1)
        left.set()
        await call
        await until(lambda: g.triton.at_once == 0)
        assert len(g.triton.stopped) == 1
        assert g.service.slot.current is None


async def test_metrics_in_both_forms(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        await g.infer()
        await g.infer(garment_image=png(extra=b"fail:pose:Inference;"))
        for accept in ("*/*", "application/json"):
            body = (await g.own.get("/metrics", headers={"Accept": accept})).json()
            assert set(body) == FIVE
            assert (body["vton_inference_count"], body["vton_inference_errors_total"]) == (1, 1)
            assert isinstance(body["vton_inference_latency_ms"], float)
            assert body["gpu_memory_used_bytes"] == 12345
        for accept in ("text/plain", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"):
            text = (await g.own.get("/metrics", headers={"Accept": accept})).text
            samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
            assert {one.name for one in samples} >= FIVE
        main = (await g.running.main.get("/metrics")).text
        assert "pentad_tryon_jobs{" in main
        assert "vton_inference_count 1.0" in main


@pytest.mark.parametrize(
    "missing", ["job_id", "user_id", "session_id", "provider", "masked_user_image",
                "garment_image"],
)  # fmt: skip
async def test_each_field_is_required(tmp_path: Path, missing: str) -> None:
    async with tryon_gateway(tmp_path) as g:
        data, files = tryon_form("x")
        (data if missing in data else files).pop(missing)  # type: ignore[attr-defined]
        reply = await g.own.post("/tryon", data=data, files=files)
        assert reply.status_code == 422
        assert [item["loc"] for item in reply.json()["detail"]] == [["body", missing]]
        assert reply.json()["detail"][0]["msg"] == "Field required"


async def test_order_of_checks(tmp_path: Path) -> None:
    """422, then the provider (400), loaded (503), busy (429), config (400)."""
    async with tryon_gateway(tmp_path, health=SELDOM) as g:
        g.triton.gate.clear()
        wrong = {"provider": "other", "config": "no json"}
        assert (await g.submit("x", **wrong, user_id=None)).status_code == 422
        refused = await g.submit("x", **wrong)
        assert (refused.status_code, refused.json()) == (
            400, {"detail": "Invalid provider: other"},
        )  # fmt: skip
        g.service.model.state = "loading"
        assert (await g.submit("x", config="no json")).status_code == 503
        g.service.model.state = "ready"
        assert (await g.submit("first")).status_code == 202
        await g.until("first", "running")
        assert (await g.submit("x", config="no json")).status_code == 429
        g.triton.gate.set()
        await g.until("first", "delivered")
        refused = await g.submit("x", config="no json")
        assert (refused.status_code, refused.json()["detail"]) == (400, "config is not valid JSON")
        assert (await g.submit("x", provider="lightxv")).status_code == 202


@pytest.mark.parametrize(
    "config",
    ["[]", "3", '"x"', '{"seed": "1"}', '{"seed": -1}', '{"seed": 1.5}', '{"steps": 51}',
     '{"cfg": 21}', '{"cfg": 1e999}', '{"prompt": 5}', '{"seed": true}', "{", "[" * 100_000],
)  # fmt: skip
async def test_config_is_an_object_with_values_in_range(tmp_path: Path, config: str) -> None:
    async with tryon_gateway(tmp_path) as g:
        reply = await g.submit("x", config=config)
        assert reply.status_code in (400, 413)
        assert isinstance(reply.json()["detail"], str)
        assert (await g.own.get("/jobs")).json()["jobs"] == []


async def test_categories_that_the_engine_does_not_know(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, health=SELDOM) as g:
        assert (await g.submit("x", config='{"category": "dresses"}')).status_code == 202
        await g.until("x", "delivered")
        g.service.model.engine = "warp"
        refused = await g.submit("y", config='{"category": "dresses"}')
        assert refused.status_code == 400
        assert "auto, upper, tops" in refused.json()["detail"]
        assert (await g.submit("y", config='{"category": "tops"}')).status_code == 202


async def test_options_reach_the_model(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        config = (
            '{"seed": 5, "steps": 8, "cfg": 3, "prompt": "p", "unknown": 1, "mode": "base", '
            '"resolution": "480p", "garment_photo_type": "flat-lay"}'
        )
        await g.submit("x", config=config)
        job = await g.until("x", "delivered")
        assert g.triton.runs[-1] == {
            "seed": 5, "steps": 8, "cfg": 3.0, "prompt": "p", "mode": "base", "job_id": "x",
            "resolution": "480p", "garment_photo_type": "flat-lay",
        }  # fmt: skip
        assert job["seed"] == 5


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"GIF89a" + bytes(100), 400), (b"\xff\xd8\xff", 400), (png()[:20], 400),
     (functools.partial(png, 9000, 9000), 413), (padded(11 * 2**20), 413), (picture("JPEG"), 202),
     (picture("WEBP"), 202), (png(), 202)],
    ids=["empty", "gif", "cut-jpeg", "cut-png", "pixels", "bytes", "jpeg", "webp", "png"],
)  # fmt: skip
async def test_pictures_are_checked_at_the_door(
    tmp_path: Path, content: bytes | Callable[[], bytes], status: int
) -> None:
    content = content() if callable(content) else content  # a large picture is made here alone
    async with tryon_gateway(tmp_path) as g:
        for name in ("masked_user_image", "garment_image"):
            reply = await g.submit(name, **{name: content})
            assert reply.status_code == status, reply.text
            if status == 202:
                await g.until(name, "delivered")
        left = tmp_path / "tryon" / "incoming"
        assert list(left.iterdir()) == []  # nothing of a refused upload stays


async def test_a_form_that_is_none(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        assert (await g.own.post("/tryon", json={})).status_code == 422
        kind = "multipart/form-data; boundary=b"
        broken = await g.own.post("/tryon", content=b"no", headers={"Content-Type": kind})
        assert broken.status_code == 400
        cut = b'--b\r\nContent-Disposition: form-data; name="job_id"\r\n\r\nx'
        assert (
            await g.own.post("/tryon", content=cut, headers={"Content-Type": kind})
        ).status_code == 400


async def test_other_origins_may_read_the_documented_headers(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        reply = await g.infer(headers={"Origin": "http://front.example"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers
        exposed = reply.headers["access-control-expose-headers"].lower()
        assert "x-inference-time-ms" in exposed
        assert "x-job-id" in exposed
        asked = await g.own.options(
            "/infer",
            headers={
                "Origin": "http://front.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "x-internal-auth",
            },
        )  # fmt: skip
        assert asked.status_code == 200
        assert "x-internal-auth" in asked.headers["access-control-allow-headers"].lower()


SECRET = {"internal_auth_token": "token-of-tryon"}


async def test_authentication_comes_before_the_form(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon={"security": SECRET}) as g:
        for path in ("/tryon", "/gpu/status", "/jobs", "/jobs/x", "/jobs/x/result"):
            reply = await (g.own.post(path) if path == "/tryon" else g.own.get(path))
            assert (reply.status_code, reply.json()) == (401, {"detail": "Unauthorized"})
        wrong = {"X-Internal-Auth": "token-of-other"}
        assert (await g.own.get("/gpu/status", headers=wrong)).status_code == 401
        assert (await g.own.post("/tryon", headers=wrong)).status_code == 401
        right = {"X-Internal-Auth": SECRET["internal_auth_token"]}
        assert (await g.own.get("/gpu/status", headers=right)).status_code == 200
        assert (await g.own.post("/tryon", headers=right)).status_code == 422
        bearer = {"Authorization": f"Bearer {SECRET['internal_auth_token']}"}
        assert (await g.own.get("/jobs", headers=bearer)).status_code == 200
        for path in ("/health", "/test", "/version", "/metrics"):
            assert (await g.own.get(path)).status_code == 200
        assert (await g.infer()).status_code == 200  # its own switch, off by default


async def test_switches_of_authentication(tmp_path: Path) -> None:
    strict = {"security": SECRET, "infer_requires_auth": True}
    async with tryon_gateway(tmp_path, tryon=strict) as g:
        assert (await g.infer()).status_code == 401
    (tmp_path / "open").mkdir()
    lax = {"security": {**SECRET, "require_auth": False}}
    async with tryon_gateway(tmp_path / "open", tryon=lax) as g:
        assert (await g.submit("x")).status_code == 202
        assert (await g.own.get("/gpu/status")).status_code == 200
        for path in ("/jobs", "/jobs/x", "/jobs/x/person", "/jobs/x/events"):
            assert (await g.own.get(path)).status_code == 401
        assert (await g.own.delete("/jobs/x")).status_code == 401
        key = {"X-Internal-Auth": SECRET["internal_auth_token"]}
        assert (await g.own.get("/jobs/x/person", headers=key)).status_code == 200
    (tmp_path / "no-key").mkdir()
    async with tryon_gateway(tmp_path / "no-key") as g:
        await g.submit("x")
        assert (await g.own.get("/jobs/x/person")).status_code == 200
