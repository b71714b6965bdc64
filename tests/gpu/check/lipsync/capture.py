"""All batches of all workers are ready when a tenant counts as loaded, and right."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from tests.gpu.check.lipsync.bench import (
    ALL,
    BATCHES,
    MIN_PSNR,
    WORKERS,
    ask,
    engine,
    psnr,
    tenants,
)
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.support.lipsync_tenants import Plain, audio, frames

SECOND_WIDTH = 0.0625
"""Another graph: the width of its tenant."""


def check(section: Section, options: Options) -> None:
    """Load a tenant into the engine as it is deployed; run each batch on each worker.

    Raises:
        AssertionError: a batch was not captured by the load, or is wrong, or frames of one graph
            were wrong while another was captured.
    """
    batches = BATCHES[:2] if options.quick else ALL
    workers = 2 if options.quick else WORKERS
    (tenant,) = tenants(options, 1)
    with engine(options, workers, batches=batches) as made:
        begin = time.perf_counter()
        weights = made.load(tenant.blob)
        took = time.perf_counter() - begin
        section.note("computes by", weights.engine)
        section.add(f"load with {workers} workers of {len(batches)} batches", "s", took)
        all_captured(section, options, weights.graph.slots, workers, batches)
        lowest = _lowest(made, weights, tenant.plain, workers, batches)
        section.note("lowest PSNR", f"{lowest:.1f} dB")
        beside = _beside(options, made, weights, tenant.plain)
        section.note("frames computed while a second graph was captured", beside)
    assert lowest >= MIN_PSNR, f"{lowest:.1f} dB, at least {MIN_PSNR:g} are demanded"
    section.headline = f"{workers} x {len(batches)} batches captured in {took:.1f} s, all right"


def _beside(options: Options, made: Any, weights: Any, plain: Plain) -> int:
    """Frames of one graph while another one is captured; how many.

    Raises:
        AssertionError: one of them, or one of the other graph's, is wrong.
    """
    picture, sound = frames(1), audio()
    expected, count = plain(picture, sound), 0
    other = tenants(options, 1, SECOND_WIDTH)[0]
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(made.load, other.blob)
        while count == 0 or not loading.done():
            got = ask(made, weights, picture, sound, worker=made.workers - 1)
            assert psnr(expected, got) >= MIN_PSNR, "wrong while another graph was captured"
            count += 1
        got = ask(made, loading.result(), picture, sound)
    assert psnr(other.plain(picture, sound), got) >= MIN_PSNR, "the second graph is wrong"
    return count


def all_captured(
    section: Section, options: Options, slots: Any, workers: int, batches: Sequence[int]
) -> None:
    """Every worker has every batch; on a GPU as a graph.

    Raises:
        AssertionError: not so.
    """
    ready = {worker: slot.captured for worker, slot in slots.items()}
    section.note("captured", {worker: list(calls) for worker, calls in ready.items()})
    wanted = {worker: sorted(batches) for worker in range(workers)}
    assert {worker: list(calls) for worker, calls in ready.items()} == wanted, "not all is captured"
    if options.cuda:
        calls = [call for one in ready.values() for call in one.values()]
        graphs = [
            isinstance(getattr(call, "__self__", None), torch.cuda.CUDAGraph) for call in calls
        ]
        assert all(graphs), f"{graphs.count(False)} batches are not CUDA graphs"


def _lowest(made: Any, weights: Any, plain: Any, workers: int, batches: Sequence[int]) -> float:
    """PSNR of the worst frame, of all batches on all workers; one frame repeated is the input."""
    picture, sound = frames(1), audio()
    expected = plain(picture, sound)
    return min(
        psnr(expected, mouth[None])
        for worker in range(workers)
        for size in batches
        for mouth in ask(made, weights, np.repeat(picture, size, axis=0), sound, worker)
    )
