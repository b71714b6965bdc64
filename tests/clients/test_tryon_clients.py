"""Try-on's page, and the bridge, load balancer and asset service around a node."""

from __future__ import annotations

import io
import uuid

import httpx
import pytest
from PIL import Image

from tests.clients.conftest import ASSET_TOKEN, BALANCER_TOKEN, NODE, NODE_TOKEN, Old
from tests.support.callback_receiver import COMPLETE, RESULT
from tests.support.tryon_pictures import garment, png, upper
from tests.support.waiting import wait_for

PAGE = {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
BRIDGE = {"X-Internal-Auth": NODE_TOKEN}
SECONDS = 120


def pictures() -> dict[str, tuple[str, bytes, str]]:
    return {
        "masked_user_image": ("person.png", png(upper(2)), "image/png"),
        "garment_image": ("garment.png", png(garment("shirts", 1)), "image/png"),
    }


def test_the_page_runs_one(old: Old) -> None:
    before = len(old.assets.of(RESULT))
    with httpx.Client(base_url=old.stack.tryon, headers=PAGE, timeout=SECONDS) as page:
        state = page.get("/test", timeout=5).json()
        assert (state["status"], bool(state["model_type"])) == ("hot", True)
        fields = {"seed": "42", "steps": "4", "cfg": "1"}
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-internal-auth",
        }
        allowed = page.options("/infer", headers=asked)
        assert allowed.status_code == 200
        assert "x-internal-auth" in allowed.headers["access-control-allow-headers"].lower()
        reply = page.post("/infer", data=fields, files=pictures())
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(reply.content)).size == (720, 960)
        assert int(reply.headers["X-Inference-Time-Ms"]) > 0
        uuid.UUID(reply.headers["X-Job-Id"])
        exposed = reply.headers["access-control-expose-headers"].lower()
        assert "x-inference-time-ms" in exposed
        assert "x-job-id" in exposed
        assert reply.headers["access-control-allow-origin"] == "*"
    assert len(old.assets.of(RESULT)) == before  # none for this route


def test_what_a_load_balancer_polls(old: Old) -> None:
    for path, token in (("/health", {}), ("/test", {}), ("/version", {}), ("/gpu/status", BRIDGE)):
        reply = httpx.get(old.stack.tryon + path, headers=token)
        assert reply.status_code == 200, path
    assert httpx.get(f"{old.stack.tryon}/gpu/status").status_code == 401
    figures = httpx.get(f"{old.stack.tryon}/metrics").json()
    assert set(figures) >= {
        "vton_inference_count", "vton_inference_latency_ms", "vton_inference_errors_total",
        "gpu_memory_used_bytes", "gpu_utilization_percent",
    }  # fmt: skip


@pytest.mark.parametrize("provider", ["qwen", "lightxv"])
def test_a_job_of_the_bridge_comes_back_by_callbacks(old: Old, provider: str) -> None:
    job = str(uuid.uuid4())
    form = {
        "job_id": job, "user_id": "u-1", "session_id": str(uuid.uuid4()), "provider": provider,
        "config": '{"seed": 7, "steps": 4, "cfg": 1.0}',
    }  # fmt: skip
    url = f"{old.stack.tryon}/tryon"
    accepted = httpx.post(url, headers=BRIDGE, data=form, files=pictures(), timeout=SECONDS)
    assert accepted.status_code == 202
    words = {"status": "accepted", "job_id": job, "message": "Job queued for processing"}
    assert accepted.json() == words

    def told(path: str) -> list[object]:
        return [one for one in old.assets.of(path) if one.fields["job_id"] == job]

    wait_for(lambda: told(COMPLETE), SECONDS)
    (result,) = (one for one in old.assets.of(RESULT) if one.fields["job_id"] == job)
    (complete,) = (one for one in old.assets.of(COMPLETE) if one.fields["job_id"] == job)
    assert result.headers["x-internal-auth"] == ASSET_TOKEN
    fields = result.fields
    assert Image.open(io.BytesIO(fields.pop("output_image"))).format == "PNG"
    assert int(fields.pop("inference_time_ms")) > 0
    assert fields.pop("model_version")
    given = {name: form[name] for name in ("job_id", "user_id", "session_id", "provider")}
    assert fields == {**given, "node_id": NODE}
    assert complete.headers["x-internal-auth"] == BALANCER_TOKEN
    assert complete.fields == {"node_id": NODE, "job_id": job, "metadata": {}}
    assert complete.at >= result.at


def test_what_the_bridge_may_get_wrong(old: Old) -> None:
    url = f"{old.stack.tryon}/tryon"
    form = {"job_id": str(uuid.uuid4()), "user_id": "u", "session_id": "s", "config": "{}"}
    for token, provider, status in (({}, "qwen", 401), (BRIDGE, "other", 400)):
        data = {**form, "provider": provider}
        reply = httpx.post(url, headers=token, data=data, files=pictures(), timeout=SECONDS)
        assert reply.status_code == status
        assert isinstance(reply.json()["detail"], str)
    assert httpx.post(url, headers=BRIDGE, data=form).status_code == 422
