"""The classification server's page on its own origin, and its load script; neither has a key."""

from __future__ import annotations

import io

import httpx
from PIL import Image

from tests.clients.conftest import Old, picture

PAGE = {"Origin": "http://localhost:5173", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
SAMPLE = {
    "gpu_util", "mem_util", "memory_used_mb", "memory_total_mb", "power_w", "power_limit_w",
    "temperature_c", "timestamp",
}  # fmt: skip


def test_the_page_classifies_and_draws(old: Old) -> None:
    with httpx.Client(base_url=old.stack.vision, headers=PAGE, timeout=30) as page:
        asked = {"Access-Control-Request-Method": "POST"}
        allowed = page.options("/infer", headers=asked)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
        reply = page.post("/infer", files={"file": ("cat.jpg", picture("chelsea.jpg"))})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
        found = reply.json()
        assert found["top5"][0]["label"] == found["top1"]["label"] == "Egyptian cat"
        assert len({one["label"] for one in found["top5"]}) == 5
        assert found["latency_ms"] > 0
        assert found["throughput_fps"] > 0
        assert found["engine"]
        seen = [page.get("/metrics/gpu").json() for _ in range(3)]
        for one in seen:
            assert set(one) >= {"samples", "source", "device", "interval_s"}
            assert set(one["samples"][0]) >= SAMPLE
            assert one["interval_s"] == 0.5  # as GAVID_METRICS_UPDATE_INTERVAL_S says


def test_the_pages_toast(old: Old) -> None:
    """It shows one for whatever is not 2xx; the words are for whoever looks closer."""
    wrong = httpx.post(f"{old.stack.vision}/infer", headers=PAGE, files={"file": b"no picture"})
    assert wrong.status_code == 400
    assert wrong.json()["detail"].startswith("Provided file is not a valid image.")
    empty = httpx.post(f"{old.stack.vision}/infer", headers=PAGE, files={"file": ("a.png", b"")})
    assert (empty.status_code, empty.json()["detail"]) == (400, "Uploaded file is empty.")


def test_the_load_script(old: Old) -> None:
    file = io.BytesIO()
    Image.new("RGB", (224, 224), (120, 30, 200)).save(file, "PNG")
    for _ in range(5):
        upload = {"file": ("sample.png", file.getvalue(), "image/png")}
        httpx.post(f"{old.stack.vision}/infer", files=upload, timeout=30).raise_for_status()
    assert httpx.get(f"{old.stack.vision}/health").json() == {"status": "ok"}
