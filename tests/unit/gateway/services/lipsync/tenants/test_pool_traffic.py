"""The pool under traffic at random, against models that notice every wrong."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.services.lipsync.tenants.device import NotLoadedError
from tests.support.tenant_models import house


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("policy", ["lru", "lfu"])
async def test_random_traffic_with_evictions_is_served_whole(
    tmp_path: Path, seed: int, policy: str
) -> None:
    """Calls, unloads, forced reloads and deaths at random: every call gets its own tenant."""
    chance = random.Random(seed)
    home = house(
        tmp_path,
        tenants=12,
        gpus={"count": 2, "assignment_strategy": "least-loaded"},
        capacity={"max_models": 5, "eviction_policy": policy},
        server={"slot_wait_seconds": 60.0},  # patience is not what this is about
    )
    home.models.load_seconds.update({f"t{n}": chance.random() / 100 for n in range(12)})

    async def client(number: int) -> None:
        own = random.Random(f"{seed} {number}")
        for _ in range(40):
            tenant = own.randrange(12)
            assert await home.infer(f"t{tenant}", own.random() / 200) == f"w{tenant}"

    async def operator() -> None:
        for _ in range(60):
            await asyncio.sleep(chance.random() / 100)
            tenant = f"t{chance.randrange(12)}"
            try:
                if chance.random() < 0.5:
                    await home.pool.unload(tenant)
                else:
                    await home.pool.load(tenant, force=True)
            except NotLoadedError:
                continue

    async def fate() -> None:
        for device in home.pool.devices:
            await asyncio.sleep(0.05)
            home.models.kill(device.model.triton_model)
            await asyncio.sleep(0.03)
            home.models.restart(device.model.triton_model)
            device.model.state = "ready"

    await asyncio.gather(*(client(number) for number in range(8)), operator(), fate())
    assert home.models.wrongs == []
    assert home.models.peak <= 5
    assert not any(one.users for one in home.pool.replicas)
    assert sum(row.usage_count for row in home.pool.rows()) == 8 * 40
