"""All batches of all workers are ready when a tenant counts as loaded, and right."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tests.gpu.check.lipsync.bench import BATCHES, MIN_PSNR, WORKERS, ask, engine, psnr, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.support.lipsync_tenants import audio, frames


def check(section: Section, options: Options) -> None:
    """Load a tenant into the engine as it is deployed; run each batch on each worker.

    Raises:
        AssertionError: a batch was not captured by the load, or is wrong.
    """
    from gpu_slots import BATCHES as ALL

    batches = BATCHES[:2] if options.quick else ALL
    workers = 2 if options.quick else WORKERS
    (tenant,) = tenants(options, 1)
    with engine(options, workers, batches=batches) as made:
        begin = time.perf_counter()
        weights = made.load(tenant.blob)
        took = time.perf_counter() - begin
        section.note("computes by", weights.engine)
        section.note("not used", "; ".join(weights.graph.notes) or "nothing")
        section.add(f"load with {workers} workers of {len(batches)} batches", "s", took)
        captured = {worker: slot.captured for worker, slot in weights.graph.slots.items()}
        section.note("captured", captured)
        assert captured == {
            worker: dict.fromkeys(sorted(batches), "graph" if options.cuda else "call")
            for worker in range(workers)
        }, "a batch of a worker was not captured when its tenant was loaded"
        lowest = _lowest(made, weights, tenant.plain, workers, batches)
    section.note("lowest PSNR", f"{lowest:.1f} dB")
    assert lowest >= MIN_PSNR, f"{lowest:.1f} dB, at least {MIN_PSNR:g} are demanded"
    section.headline = f"{workers} x {len(batches)} batches captured in {took:.1f} s, all right"


def _lowest(made: Any, weights: Any, plain: Any, workers: int, batches: Any) -> float:
    """PSNR of the worst frame, of all batches on all workers; one frame repeated is the input."""
    picture, sound = frames(1), audio()
    expected = plain(picture, sound)
    return min(
        psnr(expected, mouth[None])
        for worker in range(workers)
        for size in batches
        for mouth in ask(made, weights, np.repeat(picture, size, axis=0), sound, worker)
    )
