"""The GPU engine and tenants for it, without Triton."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.gpu.check.options import REPOSITORY, Options
from tests.support.lipsync_tenants import Plain, write_tenant

MODEL = REPOSITORY / "lipsync" / "1"
if str(MODEL) not in sys.path:  # Triton puts a model's folder on the path, too
    sys.path.append(str(MODEL))

from engines.devices import GPU_WORKERS as WORKERS  # noqa: E402, F401
from engines.gpu import GpuEngine  # noqa: E402
from engines.gpu_slots import BATCHES as ALL  # noqa: E402
from frames.pixels import Mask  # noqa: E402
from tenants.blob import OpenBlob, read_manifest  # noqa: E402
from tenants.golden import MIN_PSNR, psnr  # noqa: E402, F401
from tenants.importing import import_tenant  # noqa: E402
from tenants.layout import HALF  # noqa: E402

BATCHES = (1, 4, 8, 25)
"""Those that figures are told for."""
MASK = Mask(5, 5, 310, 305)


@dataclass(frozen=True)
class Tenant:
    """A tenant as the engine loads it, and a plain ONNX Runtime session of its own file."""

    blob: Any
    plain: Plain


def tenants(options: Options, count: int = 3, width: float = 0.0) -> list[Tenant]:
    """Seeded random tenants, imported in half precision; kept for the parts that follow.

    Args:
        options: With the folder, and the width unless another one is given.
        count: How many.
        width: Factor on the network's widths.
    """
    return [_tenant(options.work, seed, width or options.width) for seed in range(count)]


def _tenant(work: Path, seed: int, width: float) -> Tenant:
    folder = work / f"tenant-{width:g}-{seed}"
    file = folder / "tenant.onnx"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=work) as made:
            import_tenant(write_tenant(Path(made), file.stem, seed, width), Path(made), HALF)
            os.rename(made, folder)
            Path(made).mkdir()  # what the block's end removes
    manifest = read_manifest(folder, HALF)
    assert manifest is not None
    return Tenant(OpenBlob(folder, manifest), Plain(file))


@contextmanager
def engine(
    options: Options,
    workers: int = 1,
    budget: int = 0,
    batches: Sequence[int] = (),
    fuse: bool = True,
) -> Iterator[GpuEngine]:
    """The engine on the device.

    Args:
        options: With the device.
        workers: Threads that will compute.
        budget: Bytes of weights; 0 is the engine's own choice.
        batches: What it captures; else all that it is deployed with, or, as they take minutes on
            a CPU, those that figures are told for.
        fuse: Whether it may use fused convolutions.
    """
    if not options.cuda:
        torch.set_num_threads(1)  # threads that wait for one another are slow beside other work
    batches = batches or (BATCHES if options.quick else ALL)
    made = GpuEngine(options.device, workers, MASK, budget, batches=batches, fuse=fuse)
    try:
        yield made
    finally:
        made.close()


def ask(
    on: GpuEngine,
    weights: Any,
    frames: np.ndarray,
    audio: np.ndarray,
    worker: int = 0,
    kind: Any = np.float32,
) -> np.ndarray:
    """Mouths [n, 3, 320, 320] of this type."""
    mouths = np.empty((len(frames), 3, 320, 320), kind)
    on.run(worker, weights, frames, audio, mouths)
    return mouths
