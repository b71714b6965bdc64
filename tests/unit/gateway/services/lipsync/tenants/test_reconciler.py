"""The background rounds: preloading, idle tenants, changed files; and the metrics' labels."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.services.lipsync.tenants import reconciler as rounds
from gateway.services.lipsync.tenants.catalogue import TenantCatalogue
from gateway.services.lipsync.tenants.reconciler import Reconciler
from gateway.services.lipsync.tenants.views import PoolCollector
from tests.support.tenant_models import House, house
from tests.support.waiting import until


class Shelf:
    """A catalogue source whose files are the test's."""

    def __init__(self, catalogue: TenantCatalogue) -> None:
        self.catalogue = catalogue
        self.forced = 0

    def look(self, *, force: bool = False) -> TenantCatalogue:
        self.forced += force
        return self.catalogue


def reconciler(home: House, shelf: Shelf, clock: Any = None) -> Reconciler:
    arguments = {"clock": clock} if clock else {}
    return Reconciler(home.pool, shelf, home.settings, None, **arguments)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ROUND", 0.02)


async def test_preloaded_tenants_are_there_and_come_back(tmp_path: Path) -> None:
    home = house(tmp_path, tenants=30)
    home.write("t1", "bad")
    entries = [home.entry(f"t{n}", preload=n < 25) for n in range(30)]
    device = home.pool.devices[0]
    device.model.state = "loading"
    kept = reconciler(home, Shelf(TenantCatalogue(entries)))
    await kept.start()
    await asyncio.sleep(0.05)
    assert home.models.loads == []  # the model is not up yet
    device.model.state = "ready"
    wanted = {f"t{n}" for n in range(25)} - {"t1"}
    await until(lambda: home.resident() == wanted)
    await asyncio.sleep(0.1)
    assert home.models.loads.count(("lipsync", "t1")) == 1  # a failure is a warning, once
    home.models.restart("lipsync")
    await until(lambda: set(home.models.resident.get("lipsync", ())) == wanted)
    await kept.stop()


async def test_an_unloaded_preloaded_tenant_stays_out(tmp_path: Path) -> None:
    home = house(tmp_path)
    kept = reconciler(home, Shelf(TenantCatalogue([home.entry("t0", preload=True, pinned=True)])))
    await kept.start()
    await until(lambda: home.resident() == {"t0"})
    await home.pool.unload("t0")
    await asyncio.sleep(0.2)
    assert home.resident() == set()
    await kept.stop()


async def test_idle_tenants_leave(tmp_path: Path) -> None:
    home = house(tmp_path, capacity={"idle_timeout_minutes": 60})
    entries = [home.entry("t0"), home.entry("t1", pinned=True), home.entry("t2")]
    loop = asyncio.get_running_loop()
    later = 0.0
    kept = reconciler(home, Shelf(TenantCatalogue(entries)), lambda: loop.time() + later)
    await kept.start()
    for tenant in ("t0", "t1"):
        await home.infer(tenant)
    await asyncio.sleep(0.1)
    assert home.resident() == {"t0", "t1"}
    later = 3700.0
    await until(lambda: home.models.unloads)
    assert home.models.unloads == [("lipsync", "t0")]
    assert home.resident() == {"t1"}
    await kept.stop()


async def test_a_replaced_file_is_read_when_it_is_complete(tmp_path: Path) -> None:
    home = house(tmp_path)
    kept = reconciler(home, Shelf(TenantCatalogue([home.entry("t0"), home.entry("t1")])))
    await kept.start()
    await home.infer("t0")
    await home.infer("t1")
    file = home.write("t0", "still being written")
    os.utime(file, (2**33, 2**33))  # modified "now", whatever the clock says
    await asyncio.sleep(0.1)
    assert await home.infer("t0") == "w0"
    file.write_text("new")
    os.utime(file, (1, 1))
    await until(lambda: home.models.resident["lipsync"]["t0"] == "new")
    bad = home.write("t1", "bad")
    os.utime(bad, (1, 1))
    await until(lambda: home.models.loads.count(("lipsync", "t1")) == 2)
    await asyncio.sleep(0.1)
    assert home.models.loads.count(("lipsync", "t1")) == 2  # tried once
    assert await home.infer("t1") == "w1"
    await kept.stop()


async def test_a_signal_reads_the_configuration_at_once(tmp_path: Path) -> None:
    home = house(tmp_path)
    shelf = Shelf(TenantCatalogue([home.entry("t0")]))
    kept = reconciler(home, shelf)
    await kept.start()
    kept.reload()
    await until(lambda: shelf.forced == 1)
    shelf.catalogue = TenantCatalogue([home.entry("t1")])
    await until(lambda: [row.id for row in home.pool.rows()] == ["t1"])
    await kept.stop()


async def test_a_thousand_tenants_make_few_series(tmp_path: Path) -> None:
    home = house(tmp_path, tenants=6, metrics_tenants=2)
    home.metrics.add(PoolCollector(home.pool.device_rows, home.pool.rows))
    for number in (0, 1, 2, 3, 0, 4):
        await home.infer(f"t{number}")
    home.write("t5", "bad")
    text = home.metrics.render().decode()
    assert 'pentad_lipsync_calls_total{device="0",tenant="t0"} 2.0' in text
    assert 'pentad_lipsync_calls_total{device="0",tenant="other"} 3.0' in text
    assert 'tenant="t4"' not in text
    assert 'pentad_lipsync_tenants{state="resident"} 5.0' in text
    assert 'pentad_lipsync_tenants{state="idle"} 1.0' in text
    assert 'pentad_lipsync_device_resident{device="0"} 5.0' in text
    assert 'pentad_lipsync_loads_total{device="0",outcome="loaded"} 5.0' in text
