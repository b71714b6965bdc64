"""The pool against models that notice every wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.capacity import facts
from gateway.errors import UnavailableError
from gateway.services.lipsync.tenants.catalogue import (
    TenantCatalogue,
    TenantEntry,
    UnknownTenantError,
)
from gateway.services.lipsync.tenants.device import (
    DevicesBusyError,
    NotLoadedError,
    TenantLoadError,
)
from gateway.services.lipsync.tenants.loader import ALL_IN_USE, NEVER
from gateway.triton.status import ModelDeadError
from tests.support.tenant_models import house
from tests.support.waiting import PATIENCE, until


async def test_the_first_requests_load_once(tmp_path: Path) -> None:
    home = house(tmp_path)
    home.models.load_seconds["t0"] = 0.05
    assert await asyncio.gather(*(home.infer("t0") for _ in range(10))) == ["w0"] * 10
    assert home.models.loads == [("lipsync", "t0")]
    row = home.pool.row("t0")
    assert (row.usage_count, row.frames, row.inference_ms_total) == (10, 10, 100.0)
    assert (row.state, row.device, row.memory_bytes) == ("resident", 0, 100)
    assert row.graph == "cafe" * 16
    assert row.loaded is not None
    assert row.last_used is not None
    assert row.last_used >= row.loaded > 1.7e9


async def test_a_slow_load_delays_nobody_else(tmp_path: Path) -> None:
    home = house(tmp_path)
    await home.infer("t1")
    home.models.load_seconds["t0"] = asyncio.Event()  # never
    slow = asyncio.ensure_future(home.infer("t0"))
    await asyncio.sleep(0)
    assert home.pool.row("t0").state == "loading"
    for _ in range(100):
        await asyncio.wait_for(home.infer("t1"), PATIENCE)
    await asyncio.wait_for(home.infer("t2"), PATIENCE)  # nor another load
    slow.cancel()
    await home.pool.close()


async def test_a_caller_who_leaves_does_not_stop_the_load(tmp_path: Path) -> None:
    home = house(tmp_path)
    read = home.models.load_seconds["t0"] = asyncio.Event()
    gone = asyncio.ensure_future(home.infer("t0"))
    await until(lambda: home.models.loads)
    gone.cancel()
    await asyncio.wait({gone})
    read.set()
    assert await home.infer("t0") == "w0"
    assert len(home.models.loads) == 1
    assert not any(one.users for one in home.pool.replicas)


async def test_unknown_and_bad_tenants_are_errors_of_theirs_alone(tmp_path: Path) -> None:
    home = house(tmp_path)
    home.write("t0", "bad")
    (tmp_path / "t1.onnx").unlink()
    with pytest.raises(UnknownTenantError) as unknown:
        await home.infer("nobody")
    assert unknown.value.words == "Failed to load model 'nobody': model 'nobody' not configured"
    with pytest.raises(TenantLoadError) as error:
        await home.infer("t0")
    assert "not a usable ONNX model" in error.value.words
    with pytest.raises(TenantLoadError) as error:
        await home.infer("t1")
    assert "model file not found" in error.value.words
    with pytest.raises(TenantLoadError):
        await home.infer("t0")
    assert home.models.loads.count(("lipsync", "t0")) == 1  # not for every request
    row = home.pool.row("t0")
    assert row.state == "failed"
    assert row.error is not None
    assert await home.infer("t2") == "w2"
    home.write("t0", "repaired")
    await home.pool.load("t0", force=True)
    assert await home.infer("t0") == "repaired"
    assert home.pool.row("t0").error is None


@pytest.mark.parametrize(("policy", "stays"), [("lru", "t1"), ("lfu", "t0")])
async def test_eviction_follows_the_policy(tmp_path: Path, policy: str, stays: str) -> None:
    home = house(tmp_path, capacity={"max_models": 2, "eviction_policy": policy})
    for tenant in ("t0", "t0", "t0", "t1", "t2"):
        await home.infer(tenant)
    assert home.resident() == {stays, "t2"}
    assert home.models.peak == 2
    assert home.models.wrongs == []


async def test_nobody_in_use_or_pinned_is_evicted(tmp_path: Path) -> None:
    home = house(tmp_path, capacity={"max_models": 2}, server={"slot_wait_seconds": 0.05})
    home.pool.adopt(
        TenantCatalogue([home.entry("t0", pinned=True), *(home.entry(f"t{n}") for n in (1, 2, 3))])
    )
    await home.infer("t0")
    done = asyncio.Event()
    using = asyncio.ensure_future(home.infer("t1", done))
    await until(lambda: home.resident() == {"t0", "t1"})
    with pytest.raises(TenantLoadError) as error:
        await home.infer("t2")
    assert ALL_IN_USE in error.value.words
    done.set()
    assert await using == "w1"
    assert await home.infer("t2") == "w2"
    assert home.resident() == {"t0", "t2"}
    home.pool.adopt(TenantCatalogue([home.entry("t0", pinned=True), home.entry("t2", pinned=True),
                               home.entry("t3")]))  # fmt: skip
    with pytest.raises(TenantLoadError) as error:
        await home.infer("t3")
    assert NEVER in error.value.words
    assert home.models.wrongs == []


async def test_a_request_waits_until_somebody_may_leave(tmp_path: Path) -> None:
    home = house(tmp_path, capacity={"max_models": 1})
    done = asyncio.Event()
    first = asyncio.ensure_future(home.infer("t0", done))
    await until(lambda: home.resident() == {"t0"})
    others = [asyncio.ensure_future(home.infer(f"t{n}", 0.02)) for n in (1, 2, 3, 1, 2, 3)]
    await asyncio.sleep(0.1)
    done.set()
    assert await first == "w0"
    assert await asyncio.gather(*others) == ["w1", "w2", "w3"] * 2
    assert home.models.peak == 1
    assert home.models.wrongs == []


async def test_memory_is_bounded_by_what_loads_measured(tmp_path: Path) -> None:
    gib = 2**30
    home = house(tmp_path, tenants=6, capacity={"max_memory_gb": 3})
    home.models.memory.update({f"t{n}": gib for n in range(5)} | {"t5": 4 * gib})
    for number in range(5):
        await home.infer(f"t{number}")
        assert sum(row.memory_bytes for row in home.pool.rows()) <= 3 * gib
    assert len(home.resident()) == 3
    assert await home.infer("t5") == "w5"  # only its load could tell that it is too large
    home.pool.loader.shrink()  # the reconciler's round, now that it is not in use any more
    await until(lambda: "t5" not in home.resident())
    with pytest.raises(TenantLoadError) as error:
        await home.infer("t5")
    assert NEVER in error.value.words
    assert await home.infer("t0") == "w0"


async def test_memory_of_one_device_takes_from_that_device(tmp_path: Path) -> None:
    gib = 2**30
    gpus = {"count": 2, "memory_gb_per_gpu": 2, "assignment_strategy": "round-robin"}
    home = house(tmp_path, tenants=6, gpus=gpus)
    home.models.memory.update({f"t{n}": gib for n in range(6)})
    for number in range(4):
        await home.infer(f"t{number}")
    assert [row.resident for row in home.pool.device_rows()] == [2, 2]
    await home.infer("t4")
    assert [row.resident for row in home.pool.device_rows()] == [2, 2]
    assert {row.device for row in home.pool.rows() if row.id in ("t1", "t3")} == {1}
    assert {device for device, _ in home.models.unloads} == {"lipsync"}


async def test_unload_in_traffic_loses_nothing(tmp_path: Path) -> None:
    home = house(tmp_path)
    done = asyncio.Event()
    running = [asyncio.ensure_future(home.infer("t0", done)) for _ in range(4)]
    await until(lambda: home.models.in_flight.get(("lipsync", "t0"), 0) == 4)
    leaving = asyncio.ensure_future(home.pool.unload("t0"))
    await asyncio.sleep(0.01)
    later = [asyncio.ensure_future(home.infer("t0")) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert not leaving.done()
    done.set()
    await leaving
    assert all(task.done() for task in running)
    assert await asyncio.gather(*running, *later) == ["w0"] * 8
    assert home.models.loads.count(("lipsync", "t0")) == 2
    assert home.models.wrongs == []


async def test_unload_of_what_is_not_there(tmp_path: Path) -> None:
    home = house(tmp_path)
    with pytest.raises(NotLoadedError) as error:
        await home.pool.unload("t0")
    assert error.value.words == "model 't0' not loaded"
    home.write("t0", "bad")
    read = home.models.load_seconds["t0"] = asyncio.Event()
    loading = asyncio.ensure_future(home.infer("t0"))
    await until(lambda: home.models.loads)
    leaving = asyncio.ensure_future(home.pool.unload("t0"))
    await asyncio.sleep(0.01)
    read.set()
    with pytest.raises(NotLoadedError):
        await leaving
    with pytest.raises(TenantLoadError):
        await loading


async def test_force_replaces_the_weights_under_traffic(tmp_path: Path) -> None:
    now = 100.0
    home = house(tmp_path, clock=lambda: now)
    read = home.models.load_seconds["t0"] = asyncio.Event()
    loading = asyncio.ensure_future(home.pool.load("t0"))
    await until(lambda: home.models.loads)
    now += 0.5
    read.set()
    outcome = await loading
    assert (outcome.row.state, outcome.load_ms) == ("resident", 500)
    again = await home.pool.load("t0")
    assert again.load_ms == 0
    assert len(home.models.loads) == 1
    done = asyncio.Event()
    old = asyncio.ensure_future(home.infer("t0", done))
    await until(lambda: home.models.in_flight.get(("lipsync", "t0"), 0) == 1)
    home.write("t0", "new")
    await home.pool.load("t0", force=True)
    assert await home.infer("t0") == "new"
    done.set()
    assert await old == "w0"
    home.write("t0", "bad")
    with pytest.raises(TenantLoadError):
        await home.pool.load("t0", force=True)
    assert await home.infer("t0") == "new"  # the old weights serve on
    assert home.models.wrongs == []


async def test_a_model_that_died_costs_no_request(tmp_path: Path) -> None:
    home = house(tmp_path)
    device = home.pool.devices[0]
    done = asyncio.Event()
    running = [asyncio.ensure_future(home.infer("t0", done)) for _ in range(3)]
    await until(lambda: home.models.in_flight.get(("lipsync", "t0"), 0) == 3)
    home.models.kill("lipsync")
    done.set()
    await until(lambda: bool(home.watcher.failures))
    assert isinstance(home.watcher.failures[0], ModelDeadError)
    waiting = asyncio.ensure_future(home.infer("t1"))
    await asyncio.sleep(0.05)
    home.models.restart("lipsync")
    device.model.state = "ready"
    assert await asyncio.gather(*running, waiting) == ["w0", "w0", "w0", "w1"]
    assert home.models.wrongs == []


async def test_a_model_loaded_anew_and_leftovers_are_noticed(tmp_path: Path) -> None:
    home = house(tmp_path)
    device = home.pool.devices[0]
    await home.infer("t0")
    home.models.restart("lipsync")
    home.models.resident["lipsync"] = {"stranger": "x", "t3": "outdated"}
    stats = await home.pool.survey(device, 1.0)
    assert set(stats.tenants) == {"stranger", "t3"}
    assert home.models.resident["lipsync"] == {}
    assert home.resident() == set()
    assert home.pool.take_lost() == {"t0"}
    assert await home.infer("t3") == "w3"
    row = home.pool.device_rows()[0]
    assert (row.engine, row.name, row.cuda, row.memory_total_bytes) == ("toy", "Toy", False, 2**34)


@pytest.mark.parametrize(("chosen", "on_cpu", "on_gpu"), [({}, 4, 12), ({"count": 6}, 6, 6)])
async def test_a_gpu_gets_more_calls_than_it_has_slots(
    chosen: dict[str, int], on_cpu: int, on_gpu: int, tmp_path: Path
) -> None:
    server = {"worker_count_per_gpu": chosen["count"]} if chosen else {}
    home = house(tmp_path, server=server)
    device = home.pool.devices[0]
    await home.pool.survey(device, 1.0)
    assert device.admission.slots == on_cpu
    home.models.kind = "cuda"
    await home.pool.survey(device, 1.0)
    assert device.admission.slots == on_gpu
    if not chosen:
        assert 2 * facts.GPU_SLOTS <= on_gpu <= 3 * facts.GPU_SLOTS


async def test_without_a_device_requests_wait_and_then_fail(tmp_path: Path) -> None:
    home = house(tmp_path, server={"slot_wait_seconds": 0.1})
    device = home.pool.devices[0]
    device.model.state = "down"
    with pytest.raises(UnavailableError):
        await home.infer("t0")
    device.model.state = "loading"
    begin = asyncio.get_running_loop().time()
    with pytest.raises(UnavailableError):
        await home.infer("t0")
    assert asyncio.get_running_loop().time() - begin >= 0.1


async def test_another_device_takes_over_from_one_that_is_down(tmp_path: Path) -> None:
    home = house(tmp_path, gpus={"count": 2})
    home.pool.adopt(TenantCatalogue([home.entry("t0", preferred=1)]))
    await home.infer("t0")
    assert home.pool.row("t0").device == 1
    home.pool.devices[1].model.state = "down"
    assert await home.infer("t0") == "w0"
    assert home.pool.row("t0").device == 0


async def test_calls_beyond_slots_and_queue_are_refused(tmp_path: Path) -> None:
    home = house(tmp_path, tenants=40, server={"worker_count_per_gpu": 2})
    read = asyncio.Event()
    home.models.load_seconds.update({f"t{n}": read for n in range(1, 40)})
    await home.infer("t0")
    cold = [asyncio.ensure_future(home.infer(f"t{n}")) for n in range(1, 40)]
    await until(lambda: home.pool.device_rows()[0].waiting == home.settings.loading_calls)
    hit = asyncio.wait_for(home.infer("t0"), PATIENCE)  # is served all the same
    assert await hit == "w0"
    assert home.pool.device_rows()[0].waiting == home.settings.loading_calls
    read.set()
    found = await asyncio.gather(*cold, return_exceptions=True)
    refused = [one for one in found if isinstance(one, DevicesBusyError)]
    assert len(refused) == 39 - home.settings.loading_calls
    assert all(one.retry_after for one in refused)


async def test_a_hot_tenant_is_loaded_on_a_further_device(tmp_path: Path) -> None:
    gpus = {"count": 2, "allow_multi_gpu_models": True}
    home = house(tmp_path, gpus=gpus, server={"worker_count_per_gpu": 1})
    await home.infer("t0")
    done = asyncio.Event()
    first = asyncio.ensure_future(home.infer("t0", done))
    await until(lambda: home.models.in_flight.get(("lipsync", "t0"), 0) == 1)
    second = asyncio.ensure_future(home.infer("t0", 0.05))  # waits, and brings the copy
    await until(lambda: len(home.pool.replicas.of("t0")) == 2)
    await until(lambda: "t0" in home.models.resident.get("lipsync_1", {}))
    assert await asyncio.wait_for(home.infer("t0"), PATIENCE) == "w0"
    done.set()
    assert await asyncio.gather(first, second) == ["w0", "w0"]
    assert home.pool.row("t0").memory_bytes == 200
    await home.pool.unload("t0")
    assert home.models.resident == {"lipsync": {}, "lipsync_1": {}}


async def test_removed_tenants_leave_after_their_calls(tmp_path: Path) -> None:
    home = house(tmp_path)
    done = asyncio.Event()
    running = asyncio.ensure_future(home.infer("t0", done))
    await until(lambda: home.models.in_flight.get(("lipsync", "t0"), 0) == 1)
    home.pool.adopt(TenantCatalogue([home.entry("t1")]))
    with pytest.raises(UnknownTenantError):
        await home.infer("t0")
    done.set()
    assert await running == "w0"
    await until(lambda: home.models.resident["lipsync"] == {})
    assert [row.id for row in home.pool.rows()] == ["t1"]
    assert home.models.wrongs == []


async def test_another_file_for_a_tenant_replaces_it(tmp_path: Path) -> None:
    home = house(tmp_path)
    await home.infer("t0")
    moved = TenantCatalogue([TenantEntry("t0", "t1.onnx", home.entry("t1").file)])
    home.pool.adopt(moved)
    assert await home.infer("t0") == "w1"
    assert home.models.wrongs == []


async def test_a_load_of_a_file_that_is_no_longer_the_tenants_is_taken_back(
    tmp_path: Path,
) -> None:
    home = house(tmp_path)
    read = home.models.load_seconds["t0"] = asyncio.Event()
    loading = asyncio.ensure_future(home.infer("t0"))
    await until(lambda: home.models.loads)
    moved = TenantCatalogue([TenantEntry("t0", "t1.onnx", home.entry("t1").file)])
    home.pool.adopt(moved)
    read.set()
    assert await loading == "w0"  # it was asked for before
    home.pool.adopt(moved)  # the reconciler's next round
    assert await home.infer("t0") == "w1"


async def test_a_round_robin_turn_survives_a_failed_load(tmp_path: Path) -> None:
    home = house(tmp_path, gpus={"count": 2})
    home.write("t0", "bad")
    with pytest.raises(TenantLoadError):
        await home.infer("t0")
    for number in (1, 2, 3):
        await home.infer(f"t{number}")
    assert [home.pool.row(f"t{number}").device for number in (1, 2, 3)] == [0, 1, 0]
