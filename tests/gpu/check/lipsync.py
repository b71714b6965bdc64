"""Lip-sync: the GPU engine alone, and the model through Triton's shared memory."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu.check.section import Section
from tests.gpu.check.timing import milliseconds
from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant
from tests.support.text_models import ROOT

BATCHES = (1, 4, 8, 25)
LEAST_PSNR = 50.0
"""Decibels to the tenant's own file in FP32: half precision of both, as tests/gpu demands."""
MODEL = ROOT / "model_repository" / "lipsync"
TENANTS = 3


def engine(section: Section, device: str, width: float, times: int) -> None:
    """Right answers, then ms per frame, switches, loads and memory per tenant.

    Raises:
        AssertionError: answers differ from those of plain sessions.
    """
    _use_model()
    from frame_pixels import Mask
    from gpu_engine import GpuEngine
    from tenant_blob import OpenBlob
    from tenant_golden import psnr
    from tenant_import import import_tenant
    from tenant_layout import HALF

    with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
        files = [write_tenant(Path(folder), str(n), n, width) for n in range(TENANTS)]
        blobs = [
            OpenBlob(
                target := Path(folder) / f"import-{file.stem}", import_tenant(file, target, HALF)
            )
            for file in files
        ]
        worker = GpuEngine(device, 2, Mask(5, 5, 310, 305))
        section.facts.update(engine=worker.name, width=width)

        def run(weights: Any, count: int) -> np.ndarray:
            mouths = np.empty((count, 3, 320, 320), np.float32)
            worker.run(0, weights, frames(count), audio(), mouths)
            return mouths

        plain = Plain(files[0])
        weights = [worker.load(blob) for blob in blobs]
        worst = psnr(plain(frames(3), audio()), run(weights[0], 3))
        section.facts["PSNR to FP32"] = f"{worst:.1f} dB, at least {LEAST_PSNR:g}"
        assert worst >= LEAST_PSNR, f"{worst:.1f} dB"
        on_cpu = milliseconds(lambda: plain(frames(1), audio()), times)
        for batch in BATCHES:
            took = milliseconds(lambda batch=batch: run(weights[0], batch), times) / batch
            section.add(f"a frame in batches of {batch}", "ms", took, on_cpu)
        same = milliseconds(lambda: run(weights[0], 1), times)
        turn = iter(range(10**6))
        other = milliseconds(lambda: run(weights[next(turn) % TENANTS], 1), times)
        section.add("another tenant on every call, added", "ms", max(0.0, other - same))
        loads = milliseconds(lambda: worker.free(worker.load(blobs[0])), max(3, times // 4))
        section.add("load of an imported tenant", "ms", loads)
        section.add("memory of a tenant on the device", "MB", weights[0].memory_bytes / 1e6)
        if device != "cpu":
            section.add("memory of the whole device in use", "MB", _used(worker))
        worker.close()


def _use_model() -> None:
    """Makes the model's own modules importable."""
    if str(MODEL / "1") not in sys.path:
        sys.path.append(str(MODEL / "1"))


def _used(worker: Any) -> float:
    return float(worker.device()["memory_used_bytes"]) / 1e6


def through_triton(section: Section, width: float, times: int) -> None:
    """The model as it is deployed, alone in a tritonserver.

    Raises:
        AssertionError: answers differ from those of plain sessions.
    """
    _use_model()
    from tenant_golden import psnr

    from load_tests.lipsync.pool_client import Caller, serving

    with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
        repository = Path(folder) / "repository"
        ignored = shutil.ignore_patterns("*.json", "__pycache__")
        shutil.copytree(MODEL, repository / "lipsync", ignore=ignored)
        file = write_tenant(Path(folder), "one", 0, width)
        plain = Plain(file)
        on_cpu = milliseconds(lambda: plain(frames(1), audio()), times)
        with serving(repository, Path(folder) / "triton.log") as pool:
            told = pool.load(file)
            section.facts.update({"memory_bytes of a tenant": told["memory_bytes"]})
            for batch in BATCHES:
                caller = Caller(pool, frames(batch), audio())
                took = milliseconds(lambda caller=caller: caller.ask(file.stem), times) / batch
                section.add(f"a frame in requests of {batch}", "ms", took, on_cpu)
                if batch == BATCHES[1]:
                    worst = psnr(plain(frames(batch), audio()), caller.mouths())
                    section.facts["PSNR to FP32"] = f"{worst:.1f} dB, at least {LEAST_PSNR:g}"
                    assert worst >= LEAST_PSNR, f"{worst:.1f} dB"
                time.sleep(0.2)  # Triton lets go of a region a moment after its last answer
                caller.close()
