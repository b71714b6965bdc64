"""The tenants' REST interface against a stand-in for Triton."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import wave
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import GatewayError
from gateway.services.lipsync.audio.alignment import per_frame
from gateway.services.lipsync.audio.features import mel_windows
from gateway.services.lipsync.preview import FACE
from tests.support.gateway import Running, running_gateway, until
from tests.support.lipsync_triton import LipsyncTriton, mark, mouth

ROW = {
    "id", "state", "device", "pinned", "preferred_device", "usage_count", "frames",
    "inference_ms_total", "memory_bytes", "last_used", "loaded", "graph", "error",
}  # fmt: skip
KEYS = [
    {"name": "viewer", "key": "viewer-key", "services": ["lipsync"]},
    {"name": "operator", "key": "operator-key", "services": ["lipsync", "lipsync-control"]},
]


@asynccontextmanager
async def gateway(tmp_path: Path, count: int = 3, **values: Any) -> AsyncIterator[Running]:
    """A gateway whose tenants are ``tenant-00`` and so on; the last one's file is bad."""
    models = {}
    for number in range(count):
        file = tmp_path / f"tenant-{number:02}.onnx"
        file.write_text("bad" if number == count - 1 else "weights")
        models[file.stem] = {"model_path": str(file)}
    lipsync = {"models": models, "transport": "grpc", **values.pop("lipsync", {})}
    async with running_gateway(
        tmp_path, LipsyncTriton(), services=["lipsync"], lipsync=lipsync, **values
    ) as running:
        yield running


def pixels(png: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Decode an 8-bit RGB PNG without filters, checking every checksum."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, size = 8, b"", (0, 0)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (check,) = struct.unpack_from(">I", png, at + 8 + length)
        assert check == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, *rest = struct.unpack(">IIBBBBB", body)
            size = (height, width)
            assert rest == [8, 2, 0, 0, 0]
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[0], 1 + 3 * size[1])
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(*size, 3)


async def test_tenants_are_searched_and_paged(tmp_path: Path) -> None:
    async with gateway(tmp_path, 25) as running:
        assert (await running.main.post("/lipsync/tenants/tenant-03/load")).status_code == 200
        body = (await running.main.get("/lipsync/tenants", params={"limit": 10})).json()
        assert (body["total"], body["resident"], len(body["tenants"])) == (25, 1, 10)
        assert [row["id"] for row in body["tenants"]] == [f"tenant-{n:02}" for n in range(10)]
        assert set(body["tenants"][0]) == ROW
        resident = body["tenants"][3]
        assert (resident["state"], resident["device"]) == ("resident", 0)
        assert resident["graph"] == "ab" * 6
        assert resident["memory_bytes"] == 1007
        page = {"search": "NANT-1", "offset": 8, "limit": 5}
        body = (await running.main.get("/lipsync/tenants", params=page)).json()
        assert (body["total"], body["resident"]) == (10, 0)
        assert [row["id"] for row in body["tenants"]] == ["tenant-18", "tenant-19"]
        assert (await running.main.get("/lipsync/tenants?limit=0")).status_code == 422
        assert (await running.main.get("/lipsync/tenants?offset=-1")).status_code == 422


async def test_devices_tell_memory_and_queue(tmp_path: Path) -> None:
    gpus = {"count": 2, "memory_gb_per_gpu": 3}
    capacity = {"max_models": 7}
    async with gateway(tmp_path, lipsync={"gpus": gpus, "capacity": capacity}) as running:
        body = (await running.main.get("/lipsync/devices")).json()
        first, second = body["devices"]
        assert (first["model"], second["model"]) == ("lipsync", "lipsync_1")
        assert first["memory_budget_bytes"] == 3 * 2**30
        assert first["memory_total_bytes"] == 2**34
        assert (first["name"], body["engine"]) == ("Toy CPU", "toy")
        assert (first["cuda"], first["healthy"], first["max_models"]) == (False, True, 7)
        assert first["queue"] == {"in_flight": 0, "waiting": 0, "size": 200}
        assert body["queue"]["slots"] == 2 * (4 + 16)


async def test_load_and_unload(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        url = "/lipsync/tenants/tenant-01"
        found = await running.main.post(url + "/load", json={"force_reload": False})
        assert found.status_code == 200
        assert found.json()["state"] == "resident"
        assert found.json()["load_ms"] >= 0
        forced = await running.main.post(url + "/load", json={"force_reload": True})
        assert forced.status_code == 200
        assert (await running.main.post(url + "/load", json={"force": 1})).status_code == 422
        gone = await running.main.post(url + "/unload")
        assert (gone.status_code, gone.json()["state"]) == (200, "idle")
        twice = await running.main.post(url + "/unload")
        assert twice.status_code == 409
        assert twice.json() == {"detail": "model 'tenant-01' not loaded"}
        for action in ("load", "unload"):
            reply = await running.main.post(f"/lipsync/tenants/nobody/{action}")
            assert reply.status_code == 404
            assert reply.json() == {"detail": "There is no tenant 'nobody'"}


async def test_a_bad_file_is_said_to_be_bad(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        reply = await running.main.post("/lipsync/tenants/tenant-02/load")
        assert reply.status_code == 422
        assert "not a usable ONNX model" in reply.json()["detail"]
        assert str(tmp_path) not in reply.text
        row = (await running.main.get("/lipsync/tenants?search=02")).json()["tenants"][0]
        assert row["state"] == "failed"
        assert "not a usable ONNX model" in row["error"]


async def test_a_preview_is_the_tenants_own_frame(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        reply = await running.main.get("/lipsync/tenants/tenant-01/preview")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "image/png"
        shown = pixels(reply.content).astype(int)
        drawn = FACE[0].transpose(1, 2, 0)[:, :, ::-1].astype(int)  # blue first, shown red first
        expected = np.clip(drawn + round(255 * mark("tenant-01")), 0, 255)
        assert shown.shape == (320, 320, 3)
        assert np.abs(shown - expected).max() <= 1
        row = (await running.main.get("/lipsync/tenants?search=01")).json()["tenants"][0]
        assert (row["usage_count"], row["frames"], row["inference_ms_total"]) == (1, 1, 12.5)
        assert (await running.main.get("/lipsync/tenants/nobody/preview")).status_code == 404
        assert (await running.main.get("/lipsync/tenants/tenant-02/preview")).status_code == 422


def wav(samples: np.ndarray[Any, Any], rate: int = 16_000, channels: int = 1) -> str:
    """A WAV file of 16-bit samples in base64."""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return base64.b64encode(sink.getvalue()).decode()


async def test_a_clip_has_a_frame_for_every_25th_of_a_second(tmp_path: Path) -> None:
    lipsync = {"audio_encoder": tmp_path / "encoder.onnx"}
    noise = np.random.default_rng(0).normal(0, 3000, 6 * 640 - 100)
    async with gateway(tmp_path, lipsync=lipsync) as running:
        url = "/lipsync/tenants/tenant-01/clip"
        reply = await running.main.post(url, json={"sound": wav(noise)})
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "image/png"
        strip = pixels(reply.content)
        assert strip.shape == (6 * 320, 320, 3)
        raw = (noise.astype("<i2") / 32768).astype("<f4")
        found, rows = mel_windows(memoryview(raw.tobytes()), 6)
        vectors = np.repeat(found.mean(axis=(1, 2))[:, None], 512, axis=1)
        audio = per_frame(vectors.astype(np.float32), rows, 6)
        made = mouth(np.repeat(FACE, 6, axis=0) / 255, audio, "tenant-01")
        expected = np.clip(np.round(made * 255), 0, 255)[:, ::-1].transpose(0, 2, 3, 1)
        assert np.abs(strip.reshape(6, 320, 320, 3) - expected).max() <= 1
        assert (await running.main.get("/lipsync/devices")).json()["hears"] is True


BAD_SOUNDS = {
    "no base64": "?",
    "no WAV file": base64.b64encode(b"RIFF, but nothing else").decode(),
    "cut off in its header": wav(np.zeros(640))[:40],
    "stereo": wav(np.zeros(1280), channels=2),
    "another rate": wav(np.zeros(640), rate=44_100),
    "no sound": wav(np.zeros(0)),
    "too long": wav(np.zeros(32_001)),
}


async def test_sounds_that_no_clip_is_made_of(tmp_path: Path) -> None:
    lipsync = {"audio_encoder": tmp_path / "encoder.onnx"}
    async with gateway(tmp_path, lipsync=lipsync) as running:
        for name, sound in BAD_SOUNDS.items():
            reply = await running.main.post(
                "/lipsync/tenants/tenant-01/clip", json={"sound": sound}
            )
            assert reply.status_code == 422, name
            assert "sound" in reply.json()["detail"], name
        assert running.triton.calls == []
        good = {"sound": wav(np.zeros(640))}
        reply = await running.main.post("/lipsync/tenants/nobody/clip", json=good)
        assert reply.status_code == 404
        running.triton.encoder_failures.append(GatewayError())
        reply = await running.main.post("/lipsync/tenants/tenant-01/clip", json=good)
        assert (reply.status_code, "encoder failed" in reply.text) == (502, True)
    async with gateway(tmp_path) as running:
        reply = await running.main.post("/lipsync/tenants/tenant-01/clip", json=good)
        assert reply.status_code == 404
        assert "lipsync.audio_encoder" in reply.json()["detail"]
        told = (await running.main.get("/lipsync/devices")).json()
        assert (told["demo"], told["hears"]) == (False, False)


async def test_a_preview_nobody_waits_for_is_cancelled(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        triton = running.triton
        assert isinstance(triton, LipsyncTriton)
        triton.gate.clear()
        call = asyncio.ensure_future(running.main.get("/lipsync/tenants/tenant-00/preview"))
        await until(lambda: triton.running.get("tenant-00", 0) == 1)
        call.cancel()
        await until(lambda: triton.cancelled == 1)
        await until(lambda: running.context.monitor.services()[0].admission.in_flight == 0)


@pytest.mark.parametrize("separate", [False, True])
async def test_loading_needs_the_control_key_where_there_is_one(
    tmp_path: Path, separate: bool
) -> None:
    lipsync = {"separate_control_key": separate}
    async with gateway(tmp_path, lipsync=lipsync, security={"keys": KEYS}) as running:

        async def call(method: str, path: str, key: str) -> int:
            headers = {"X-API-Key": key} if key else {}
            return (await running.main.request(method, path, headers=headers)).status_code

        load = "/lipsync/tenants/tenant-00/load"
        assert await call("GET", "/lipsync/tenants", "") == 401
        assert await call("POST", load, "") == 401
        assert await call("GET", "/lipsync/tenants", "viewer-key") == 200
        assert await call("POST", load, "viewer-key") == (403 if separate else 200)
        assert await call("POST", load, "operator-key") == 200
        unload = "/lipsync/tenants/tenant-00/unload"
        assert await call("POST", unload, "viewer-key") == (403 if separate else 200)


async def test_services_readyz_and_metrics_show_lipsync(tmp_path: Path) -> None:
    lipsync = {"gpus": {"count": 2}, "audio_encoder": tmp_path / "encoder.onnx"}
    async with gateway(tmp_path, lipsync=lipsync) as running:
        report = (await running.main.get("/readyz")).json()["services"]["lipsync"]
        assert report["state"] == "ready"
        assert [model["triton_model"] for model in report["models"]] == [
            "lipsync", "lipsync_1", "audio_encoder",
        ]  # fmt: skip
        assert report["models"][0]["engine"] == "toy"
        port = running.context.settings.lipsync.server.port
        assert report["urls"] == ["http://127.0.0.1:9000/lipsync", f"grpc://127.0.0.1:{port}"]
        await running.main.post("/lipsync/tenants/tenant-00/load")
        text = (await running.main.get("/metrics")).text
        assert 'pentad_lipsync_tenants{state="resident"} 1.0' in text
        assert 'pentad_lipsync_device_healthy{device="1"} 1.0' in text
        paths = (await running.main.get("/openapi.json")).json()["paths"]
        assert "/lipsync/tenants/{tenant}/preview" in paths


async def test_a_missing_device_is_reported_and_the_other_serves(tmp_path: Path) -> None:
    models = {"a": {"model_path": str(tmp_path / "a.onnx")}}
    (tmp_path / "a.onnx").write_text("weights")
    triton = LipsyncTriton(unloadable={"lipsync_1"})
    lipsync = {"models": models, "gpus": {"count": 2}, "transport": "grpc"}
    async with running_gateway(
        tmp_path, triton, services=["lipsync"], lipsync=lipsync, wait=False
    ) as running:
        models = running.context.monitor.services()[0].models
        await until(lambda: [model.state for model in models] == ["ready", "missing"])
        report = (await running.main.get("/readyz")).json()["services"]["lipsync"]
        assert [model["state"] for model in report["models"]] == ["ready", "missing"]
        for _ in range(3):
            reply = await running.main.get("/lipsync/tenants/a/preview")
            assert reply.status_code == 200
        devices = (await running.main.get("/lipsync/devices")).json()["devices"]
        assert [device["healthy"] for device in devices] == [True, False]
        assert [device["resident"] for device in devices] == [1, 0]


async def test_the_canary_computes_a_frame_where_a_tenant_is(tmp_path: Path) -> None:
    health = {"canary_interval_seconds": 0.05}
    async with gateway(tmp_path, health=health) as running:
        triton = running.triton
        assert isinstance(triton, LipsyncTriton)
        before = len(triton.commands)
        await until(lambda: len(triton.commands) >= before + 3)  # of three more canaries
        assert triton.tenants == {"lipsync": {}}  # nobody is brought in for it
        await running.main.post("/lipsync/tenants/tenant-00/load")
        await until(lambda: triton.tenants["lipsync"]["tenant-00"]["frames"] > 0)
        row = (await running.main.get("/lipsync/tenants?search=00")).json()["tenants"][0]
        assert row["usage_count"] == 0  # it is no use of the tenant


async def test_work_is_refused_with_several_worker_processes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"server\.workers must be 1"):
        async with gateway(tmp_path, server={"workers": 2}):
            pass


async def test_a_load_counts_once_against_a_rate_limit(tmp_path: Path) -> None:
    keys = [{**KEYS[1], "rate_limit": "3/hour"}]
    lipsync = {"separate_control_key": True}
    async with gateway(tmp_path, lipsync=lipsync, security={"keys": keys}) as running:
        load = "/lipsync/tenants/tenant-00/load"
        headers = {"X-API-Key": "operator-key"}
        statuses = [(await running.main.post(load, headers=headers)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]


async def test_control_counts_where_only_control_has_keys(tmp_path: Path) -> None:
    security = {"keys": [{**KEYS[1], "rate_limit": "2/hour"}], "open_services": ["lipsync"]}
    lipsync = {"separate_control_key": True}
    async with gateway(tmp_path, lipsync=lipsync, security=security) as running:
        load = "/lipsync/tenants/tenant-00/load"
        assert (await running.main.post(load)).status_code == 401
        headers = {"Authorization": "Bearer operator-key"}
        statuses = [(await running.main.post(load, headers=headers)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
