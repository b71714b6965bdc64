"""More tenants than room, on a real server: every answer is its tenant's own."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.services.lipsync.preview import FACE, SILENCE
from gateway.services.lipsync.tenants import reconciler, source
from tests.contract.test_lipsync_rest import pixels
from tests.support.gateway import Running
from tests.support.lipsync_tenants import Plain, with_masked
from tests.support.waiting import PATIENCE, until
from tests.triton.lipsync.tenants.conftest import TENANTS, Opener

INPUT = with_masked(FACE.astype(np.float32) / 255)
AUDIO = np.frombuffer(SILENCE, np.float32).reshape(1, 32, 16, 16)


def expected(file: Path) -> np.ndarray:
    """What the file's own session makes of the preview's input, uint8 [320,320,3] red first."""
    made = Plain(file)(INPUT, AUDIO)[0]
    levels = np.clip(np.rint(made * 255), 0, 255).astype(int)
    return levels.transpose(1, 2, 0)[:, :, ::-1]


async def preview(running: Running, tenant: str) -> np.ndarray:
    reply = await running.main.get(f"/lipsync/tenants/{tenant}/preview", timeout=60)
    assert reply.status_code == 200, reply.text
    return pixels(reply.content).astype(int)


async def devices(running: Running) -> list[dict[str, Any]]:
    return list((await running.main.get("/lipsync/devices")).json()["devices"])


@pytest.mark.parametrize("policy", ["lru", "lfu"])
async def test_random_tenants_beyond_the_room(
    gateway: Opener, tenant_files: Path, policy: str
) -> None:
    right = {n: expected(tenant_files / f"tenant_{n:02}.onnx") for n in range(TENANTS)}
    capacity = {"max_models": 5, "eviction_policy": policy, "min_residency_seconds": 0}
    async with gateway(capacity=capacity) as running:

        async def client(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(25):
                number = min(chance.randrange(TENANTS), chance.randrange(TENANTS))
                found = await preview(running, f"tenant_{number:02}")
                assert np.abs(found - right[number]).max() <= 1, number

        await asyncio.gather(*(client(seed) for seed in range(4)))
        pool = running.listeners.services["lipsync"].pool
        assert sum(row.usage_count for row in pool.rows()) == 100
        assert sum(one["resident"] for one in await devices(running)) <= 5
        for device in pool.devices:
            end = time.monotonic() + PATIENCE  # an eviction may still be under way
            while True:
                stats = await pool.survey(device, 60)
                mine = {one.tenant for one in pool.replicas.on(device)}
                if set(stats.tenants) == mine:
                    break
                assert time.monotonic() < end, (set(stats.tenants), mine)
                await asyncio.sleep(0.05)
            assert all(one.memory_bytes > 0 for one in stats.tenants.values())
        text = (await running.main.get("/metrics")).text
        assert 'reason="capacity"' in text


async def test_the_measured_memory_is_the_budget(gateway: Opener) -> None:
    async with gateway() as running:
        row = (await running.main.post("/lipsync/tenants/tenant_00/load")).json()
        each = row["memory_bytes"]
        assert each > 0
    budget = 3.5 * each / 2**30
    async with gateway(gpus={"count": 2, "memory_gb_per_gpu": budget}) as running:
        for number in range(12):
            await preview(running, f"tenant_{number:02}")
        for device in await devices(running):
            assert 0 < device["resident"] <= 3
            assert (
                device["resident_bytes"] <= device["memory_budget_bytes"] == round(budget * 2**30)
            )


async def test_the_watched_folder_is_followed(
    gateway: Opener, tenant_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "ROUND", 0.1)
    monkeypatch.setattr(source, "SETTLE_SECONDS", 0.3)
    watched = tmp_path / "watched"
    async with gateway(watch_folder=watched) as running:
        address = "/lipsync/tenants/fresh/preview"
        assert (await running.main.get(address)).status_code == 404
        watched.mkdir()
        file = watched / "fresh.onnx"
        shutil.copyfile(tenant_files / "tenant_01.onnx", file)
        await _until_known(running, "fresh", known=True)
        right = expected(tenant_files / "tenant_01.onnx")
        assert np.abs(await preview(running, "fresh") - right).max() <= 1
        shutil.copyfile(tenant_files / "tenant_02.onnx", file)
        right = expected(tenant_files / "tenant_02.onnx")
        end = time.monotonic() + PATIENCE
        while np.abs(await preview(running, "fresh") - right).max() > 1:
            assert time.monotonic() < end, "the new weights were not taken over"
            await asyncio.sleep(0.1)
        (watched / "broken.onnx").write_bytes(b"no model at all")
        await _until_known(running, "broken", known=True)
        refused = await running.main.get("/lipsync/tenants/broken/preview", timeout=60)
        assert refused.status_code == 422
        assert np.abs(await preview(running, "fresh") - right).max() <= 1
        file.unlink()
        await _until_known(running, "fresh", known=False)
        assert (await running.main.get(address)).status_code == 404
        pool = running.listeners.services["lipsync"].pool
        await until(lambda: not pool.replicas.of("fresh"))


async def test_leftovers_of_another_gateway_are_taken_out(gateway: Opener) -> None:
    async with gateway() as running:
        for number in range(4):
            await preview(running, f"tenant_{number:02}")
    async with gateway() as running:
        pool = running.listeners.services["lipsync"].pool
        for device in pool.devices:
            assert not (await pool.survey(device, 60)).tenants
        await preview(running, "tenant_00")


async def _until_known(running: Running, tenant: str, *, known: bool) -> None:
    pool = running.listeners.services["lipsync"].pool
    await until(lambda: (tenant in pool.catalogue) == known)
