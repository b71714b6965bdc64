"""The CPU engine: tenants share a session, nothing of one is seen by another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines.cpu import CpuEngine
from frames.pixels import Mask
from memory.process_memory import machine_memory, resident_bytes, usable_cores
from tenants.blob import OpenBlob
from tenants.importing import import_tenant
from tenants.layout import BLOCKED

from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant

MASK = Mask(5, 5, 310, 305)


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[OpenBlob, Plain]]:
    folder = tmp_path_factory.mktemp("tenants")
    files = [write_tenant(folder, str(seed), seed) for seed in range(3)]
    files.append(write_tenant(folder, "wide", 9, width=0.25))
    return [
        (OpenBlob(target, import_tenant(file, target, BLOCKED)), Plain(file))
        for file in files
        for target in [Path(folder, f"import-{file.stem}")]
    ]


def run(
    engine: CpuEngine, weights: Any, frame: np.ndarray, sound: np.ndarray, worker: int = 0
) -> np.ndarray:
    mouths = np.empty((1, 3, 320, 320), np.float32)
    engine.run(worker, weights, frame, sound, mouths)
    return mouths


def test_tenants_of_one_graph_share_one_session(tenants: list[tuple[OpenBlob, Plain]]) -> None:
    engine = CpuEngine(1, MASK)
    weights = [engine.load(blob) for blob, _ in tenants]
    assert weights[0].graph is weights[1].graph is weights[2].graph
    assert weights[3].graph is not weights[0].graph
    assert weights[0].memory_bytes >= tenants[0][0].manifest.blob_bytes


def test_every_answer_is_the_tenants_own_from_two_threads(
    tenants: list[tuple[OpenBlob, Plain]],
) -> None:
    engine = CpuEngine(2, MASK)
    weights = [engine.load(blob) for blob, _ in tenants]
    given = [frames(1, seed=number) for number in range(3)]
    sounds = [audio(seed=number) for number in range(3)]
    expected = [
        [plain(frame, sound) for frame, sound in zip(given, sounds, strict=True)]
        for _, plain in tenants
    ]

    def hammer(worker: int) -> float:
        random, worst = np.random.default_rng(worker), 0.0
        for _ in range(40):
            tenant, frame = int(random.integers(len(tenants))), int(random.integers(3))
            got = run(engine, weights[tenant], given[frame], sounds[frame], worker)
            worst = max(worst, float(np.abs(got - expected[tenant][frame]).max()))
        return worst

    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(hammer, (0, 1))) <= 1e-5


def test_a_freed_tenants_file_is_unmapped_and_a_running_frame_is_safe(
    tenants: list[tuple[OpenBlob, Plain]], tmp_path: Path
) -> None:
    file = write_tenant(tmp_path, "tenant", 5)
    blob = OpenBlob(tmp_path / "import", import_tenant(file, tmp_path / "import", BLOCKED))
    name = blob.manifest.blob
    engine = CpuEngine(1, MASK)
    weights = engine.load(blob)
    del blob
    run(engine, weights, frames(1), audio())
    assert name in Path("/proc/self/maps").read_text()
    engine.free(weights)
    del weights
    assert name not in Path("/proc/self/maps").read_text()


def test_device_figures_are_of_this_machine() -> None:
    device = CpuEngine(1, MASK, index=3).device()
    assert (device["kind"], device["index"]) == ("cpu", 3)
    assert 2**28 < device["memory_used_bytes"] < device["memory_total_bytes"]
    assert device["name"]


def test_a_container_is_told_its_own_limits(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) >= 1
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert usable_cores(tmp_path) == min(2, usable_cores(Path("/nowhere")))
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == usable_cores(Path("/nowhere"))
    (tmp_path / "memory.max").write_text("1048576\n")
    assert machine_memory(cgroup=tmp_path) == 1048576
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_memory(cgroup=tmp_path) > 2**28
    assert resident_bytes() > 2**20
