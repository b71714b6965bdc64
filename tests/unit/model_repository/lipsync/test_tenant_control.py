"""Commands: loads once, replaces atomically, falls back, says what was measured."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lipsync_errors import RefusedError, TenantMemoryError, UnsuitableTenantError
from lipsync_request import Command
from tenants.control import TenantControl
from tenants.store import NotImportedError
from tenants.table import TenantTable


class Engine:
    """Weights are the blob's path and a number."""

    def __init__(self, name: str = "engine") -> None:
        self.name = name
        self.loaded = 0
        self.error: Exception | None = None

    def load(self, blob: Any) -> Any:
        if self.error:
            raise self.error
        self.loaded += 1
        return SimpleNamespace(memory_bytes=100, number=self.loaded)


class Store:
    """Opens anything; `hold` keeps it waiting, `importing` need an import, which waits."""

    def __init__(self) -> None:
        self.importing: set[str] = set()
        self.import_hold = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.opened: list[tuple[Path, bool]] = []
        self.error: Exception | None = None

    def open(self, path: Path, *, force: bool = False, may_import: bool = True) -> tuple[Any, bool]:
        if path.name in self.importing:
            if not may_import:
                raise NotImportedError
            assert self.import_hold.wait(60)
        self.hold.wait(60)
        self.opened.append((path, force))
        if self.error:
            raise self.error
        return SimpleNamespace(manifest=SimpleNamespace(graph="g" * 64)), len(self.opened) == 1


class Bench:
    """A control with one or two engines."""

    def __init__(self, engines: int = 1) -> None:
        self.freed: list[Any] = []
        self.table = TenantTable(self.freed.append)
        self.engines = [Engine(f"engine {number}") for number in range(engines)]
        self.stores = [Store() for _ in range(engines)]
        self.counts: list[str] = []
        backings = list(zip(self.engines, self.stores, strict=True))
        self.control = TenantControl(self.table, backings, 4, 2, 50, self.counts.append)

    def send(
        self, op: str, tenant: str = "a", path: str = "/a.onnx", force: bool = False
    ) -> Future:
        answer: Future = Future()
        command = Command(op, tenant, path, force)
        self.control.submit(command, answer.set_result, answer.set_exception)
        return answer


def test_a_load_reports_what_was_measured() -> None:
    bench = Bench()
    report = bench.send("load").result(60)
    assert report["memory_bytes"] == 100
    assert report["graph"] == "g" * 64
    assert report["imported"] is True
    assert report["frame_limit"] == 50
    assert report["load_ms"] >= 0
    assert bench.control.stats()["a"]["frames"] == 0
    assert bench.table.size() == (1, 100)


def test_callers_at_the_same_time_load_once() -> None:
    bench = Bench()
    bench.stores[0].hold.clear()
    answers = [bench.send("load") for _ in range(3)]
    bench.stores[0].hold.set()
    assert sorted(answer.result(60)["imported"] for answer in answers) == [False, False, True]
    assert bench.engines[0].loaded == 1


def test_force_and_another_path_load_again_and_free_the_old() -> None:
    bench = Bench()
    bench.send("load").result(60)
    bench.send("load").result(60)
    assert bench.engines[0].loaded == 1
    bench.send("load", force=True).result(60)
    bench.send("load", path="/b.onnx").result(60)
    assert [path for path, _ in bench.stores[0].opened] == [
        Path("/a.onnx"),
        Path("/a.onnx"),
        Path("/b.onnx"),
    ]
    assert [weights[1].number for weights in bench.freed] == [1, 2]


def test_an_unload_is_answered_when_the_last_request_is_done() -> None:
    bench = Bench()
    bench.send("load").result(60)
    running = bench.table.acquire("a")
    answer = bench.send("unload")
    assert not answer.done()
    assert bench.freed == []
    bench.table.release(running, 1)
    assert answer.result(0) == {"unloaded": True}
    assert len(bench.freed) == 1
    assert bench.send("unload").result(0) == {"unloaded": False}


def test_loads_that_wait_do_not_keep_an_unload_waiting() -> None:
    bench = Bench()
    bench.send("load", "other").result(60)
    bench.stores[0].hold.clear()
    loads = [bench.send("load", f"t{number}") for number in range(8)]
    assert bench.send("unload", "other").result(0) == {"unloaded": True}
    bench.stores[0].hold.set()
    for load in loads:
        load.result(60)


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (RefusedError("tenant_contract", "no"), RefusedError, "tenant_contract"),
        (MemoryError(), TenantMemoryError, "tenant_out_of_memory"),
        (OSError(24, "Too many open files", "/secret"), RefusedError, "tenant_file_invalid"),
    ],
)
def test_a_failed_load_leaves_what_was_there(
    error: Exception, expected: type[RefusedError], code: str
) -> None:
    bench = Bench()
    bench.send("load").result(60)
    bench.stores[0].error = error
    with pytest.raises(expected) as caught:
        bench.send("load", force=True).result(60)
    assert caught.value.code == code
    assert "/secret" not in str(caught.value)
    assert bench.table.acquire("a").weights[1].number == 1
    assert bench.counts == ["imported", "failed"]


@pytest.mark.parametrize("where", ["engine", "store"])
def test_a_tenant_that_the_first_engine_does_not_run_goes_to_the_second(where: str) -> None:
    bench = Bench(engines=2)
    target = bench.engines[0] if where == "engine" else bench.stores[0]
    target.error = UnsuitableTenantError("If")
    assert bench.send("load").result(60)["engine"] == "engine 1 (If)"
    engine, _ = bench.table.acquire("a").weights
    assert engine is bench.engines[1]


def test_a_tenant_that_was_imported_before_waits_for_no_import() -> None:
    bench = Bench()
    store = bench.stores[0]
    slow = [f"slow{number}.onnx" for number in range(12)]  # more than there are threads
    store.importing = set(slow)
    go_on = store.import_hold = threading.Event()
    imports = [bench.send("load", name, f"/{name}") for name in slow]
    assert bench.send("load", "quick", "/quick.onnx").result(60)["memory_bytes"] == 100
    assert not any(answer.done() for answer in imports)
    go_on.set()
    for answer in imports:
        answer.result(60)
