"""The GPU engine on a GPU: right, and how fast. Figures go to var/gpu_lipsync.json."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "model_repository" / "lipsync" / "1"))

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
REPORT = ROOT / "var" / "gpu_lipsync.json"
BATCHES = (1, 4, 8, 25)


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Plain]]:
    """Three tenants of full width, imported in half precision."""
    from tenant_blob import OpenBlob
    from tenant_import import import_tenant
    from tenant_layout import HALF

    folder = tmp_path_factory.mktemp("tenants")
    found = []
    for seed in range(3):
        file = write_tenant(folder, str(seed), seed, width=1.0)
        target = folder / f"import-{seed}"
        found.append((OpenBlob(target, import_tenant(file, target, HALF)), Plain(file)))
    return found


@pytest.fixture(scope="module")
def engine() -> Any:
    from frame_pixels import Mask
    from gpu_engine import GpuEngine

    return GpuEngine("cuda:0", 2, Mask(5, 5, 310, 305))


def run(engine: Any, weights: Any, count: int, worker: int = 0) -> np.ndarray:
    mouths = np.empty((count, 3, 320, 320), np.float32)
    engine.run(worker, weights, frames(count), audio(), mouths)
    return mouths


def timed(call: Callable[[], object], times: int = 20) -> float:
    """Median milliseconds, after three calls that warm up."""
    for _ in range(3):
        call()
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        found.append((time.perf_counter() - begin) * 1e3)
    return median(found)


@pytest.mark.parametrize("count", [1, 3, *BATCHES[1:]])
def test_every_batch_agrees_with_full_precision(
    count: int, engine: Any, tenants: list[tuple[Any, Plain]]
) -> None:
    from tenant_golden import psnr

    for blob, plain in tenants:
        weights = engine.load(blob)
        expected = plain(frames(count)[-2:], audio())
        assert psnr(expected, run(engine, weights, count)[-2:]) >= 50
        engine.free(weights)


def test_speed_of_frames_switches_and_loads(engine: Any, tenants: list[tuple[Any, Plain]]) -> None:
    loads = [timed(lambda blob=blob: engine.free(engine.load(blob)), 5) for blob, _ in tenants]
    weights = [engine.load(blob) for blob, _ in tenants]
    report: dict[str, Any] = {"engine": engine.name, "device": engine.device()}
    report["load_ms"] = median(loads)
    report["ms_per_frame"] = {
        str(batch): timed(lambda batch=batch: run(engine, weights[0], batch)) / batch
        for batch in BATCHES
    }
    (slot,) = [weights[0].graph.slots[0]]
    replays = {}
    for size, batch in slot._batches.items():

        def replay(batch: Any = batch) -> None:
            batch.replay()
            torch.cuda.synchronize()

        replays[str(size)] = timed(replay) / size
    report["ms_per_frame_on_the_device"] = replays
    same = timed(lambda: run(engine, weights[0], 1))
    turn = iter(range(10**6))
    other = timed(lambda: run(engine, weights[next(turn) % 3], 1))
    report["switch_ms"] = other - same
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1))
    assert other <= 1.5 * same
