"""The GPU engine on a GPU: right, and how fast. Figures go to var/gpu_lipsync.json."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
TIMED = (1, 4, 8, 25)


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


def make_engine(workers: int = 2, **more: Any) -> Any:
    from frame_pixels import Mask
    from gpu_engine import GpuEngine

    return GpuEngine("cuda:0", workers, Mask(5, 5, 310, 305), **more)


@pytest.fixture(scope="module")
def engine() -> Any:
    return make_engine()


def run(
    engine: Any, weights: Any, count: int, worker: int = 0, seed: int = 0, kind: Any = np.float32
) -> np.ndarray:
    mouths = np.empty((count, 3, 320, 320), kind)
    engine.run(worker, weights, frames(count, seed), audio(), mouths)
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


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 8, 12, 16, 20, 25])
def test_every_batch_agrees_with_full_precision(
    count: int, engine: Any, tenants: list[tuple[Any, Plain]]
) -> None:
    from tenant_golden import psnr

    for blob, plain in tenants:
        weights = engine.load(blob)
        expected = plain(frames(count)[-2:], audio())
        assert psnr(expected, run(engine, weights, count)[-2:]) >= 50
        engine.free(weights)


def test_more_tenants_than_fit_under_four_threads(tenants: list[tuple[Any, Plain]]) -> None:
    """Room for two of three: weights are promoted by one worker while others read them."""
    from tenant_golden import psnr

    size = tenants[0][0].flat().nbytes
    racing = make_engine(4, budget=2 * size, batches=(1, 2, 4))
    loaded = [(racing.load(blob), plain(frames(2), audio())) for blob, plain in tenants]
    worst = []

    def work(worker: int) -> None:
        for number in np.random.default_rng(worker).integers(0, 3, 300):
            weights, expected = loaded[number]
            worst.append(psnr(expected, run(racing, weights, 2, worker)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert min(worst) >= 50
    assert racing.tiers.device_bytes <= 2 * size
    racing.close()


def test_a_second_network_is_captured_while_others_compute(
    tenants: list[tuple[Any, Plain]], tmp_path: Path
) -> None:
    from tenant_blob import OpenBlob
    from tenant_golden import psnr
    from tenant_import import import_tenant
    from tenant_layout import HALF

    busy = make_engine(2, batches=(1, 4))
    weights = busy.load(tenants[0][0])
    expected = tenants[0][1](frames(1), audio())
    file = write_tenant(tmp_path, "narrow", 5)
    other = OpenBlob(tmp_path / "import", import_tenant(file, tmp_path / "import", HALF))
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(busy.load, other)
        while not loading.done():
            assert psnr(expected, run(busy, weights, 1, worker=1)) >= 50
        assert psnr(Plain(file)(frames(1), audio()), run(busy, loading.result(), 1)) >= 50
    busy.close()


def test_promotion_and_arena_on_the_card() -> None:
    """The same moves as on a CPU, with real streams."""
    from torch_device import open_device
    from weight_tiers import WeightTiers

    device = open_device("cuda:0")
    numbers = 12_154_048
    tiers = WeightTiers(device, 2 * 2 * numbers, 2**30)
    made = [
        tiers.add(lambda n=n: torch.full((numbers,), float(n), dtype=torch.float16))
        for n in range(5)
    ]

    def work(worker: int) -> None:
        stream = device.stream()
        with device.on(stream):
            slot = device.empty((numbers,), torch.float16)
            for number in np.random.default_rng(worker).integers(0, 5, 200):
                tiers.copy_to(made[number], slot, stream)
                wrong = (slot != float(number)).sum().item()
                assert wrong == 0, f"{wrong} numbers of tenant {number} were not there yet"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert tiers.host_bytes <= 3 * 2 * numbers


def test_speed_of_frames_switches_and_loads(engine: Any, tenants: list[tuple[Any, Plain]]) -> None:
    begin = time.perf_counter()
    first = make_engine(1).load(tenants[0][0])
    report: dict[str, Any] = {"first_load_s": time.perf_counter() - begin, "how": first.engine}
    loads = [timed(lambda blob=blob: engine.free(engine.load(blob)), 5) for blob, _ in tenants]
    weights = [engine.load(blob) for blob, _ in tenants]
    report |= {"engine": weights[0].engine, "device": engine.device(), "load_ms": median(loads)}
    report["ms_per_frame"] = {
        str(count): timed(lambda count=count: run(engine, weights[0], count)) / count
        for count in TIMED
    }
    plain = make_engine(1, fuse=False)
    unfused = plain.load(tenants[0][0])
    report["ms_per_frame_unfused"] = {
        str(count): timed(lambda count=count: run(plain, unfused, count)) / count for count in TIMED
    }
    same = timed(lambda: run(engine, weights[0], 1))
    turn = iter(range(10**6))
    other = timed(lambda: run(engine, weights[next(turn) % 3], 1))
    report["switch_ms"] = other - same
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1))
    assert other <= 1.5 * same
