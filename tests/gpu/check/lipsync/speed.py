"""Milliseconds per frame and per switch of tenants, frames per second of all workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tests.gpu.check.lipsync.bench import BATCHES, WORKERS, ask, engine, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.gpu.check.timing import milliseconds, per_second
from tests.support.lipsync_tenants import audio, frames

FORMATS = {"UINT8, 3 channels": (np.uint8, 3), "FP32, 6 channels": (np.float32, 6)}
"""The smallest and the largest form that frames travel in."""


def check(section: Section, options: Options) -> None:
    """Time calls from host memory to host memory; the CPU's are one thread of ONNX Runtime."""
    found = tenants(options)
    on_cpu = milliseconds(lambda: found[0].plain(frames(1), audio()), options.times)
    section.against = "ONNX Runtime, one thread"
    workers = 1 if options.quick else WORKERS
    with engine(options, workers) as made:
        section.note("engine", made.name)
        section.note("width", options.width)
        weights = [made.load(tenant.blob) for tenant in found]
        per_frame = {
            (name, batch): _frames(section, options, made, weights[0], name, batch, on_cpu)
            for name in list(FORMATS)[: 1 if options.quick else None]
            for batch in BATCHES
        }
        switches = [_switch(section, options, made, weights, batch) for batch in BATCHES]
        together = [
            _together(section, options, made, weights, batch)
            for batch in BATCHES[: 1 if options.quick else None]
        ]
    name = next(iter(FORMATS))
    section.headline = (
        f"{per_frame[name, BATCHES[-1]]:.3g} ms a frame in batches of {BATCHES[-1]}, "
        f"{per_frame[name, 1]:.3g} ms alone; a switch of tenants {max(switches):.2f} ms at most; "
        f"{max(together):.0f} frames/s by {workers} workers"
    )


def _caller(
    made: Any, given: np.ndarray, kind: Any, pick: Callable[[], Any], worker: int = 0
) -> Callable[[], int]:
    sound = audio(len(given))

    def call() -> int:
        ask(made, pick(), given, sound, worker, kind)
        return len(given)

    return call


def _given(name: str, count: int) -> tuple[np.ndarray, Any]:
    kind, channels = FORMATS[name]
    given = frames(count, channels=channels)
    return ((given * 255).astype(kind) if kind is np.uint8 else given), kind


def _frames(
    section: Section,
    options: Options,
    made: Any,
    weights: Any,
    name: str,
    batch: int,
    on_cpu: float,
) -> float:
    given, kind = _given(name, batch)
    took = milliseconds(_caller(made, given, kind, lambda: weights), options.times) / batch
    section.add(f"a frame in batches of {batch}, {name}", "ms", took, on_cpu)
    return took


def _switch(section: Section, options: Options, made: Any, weights: list[Any], batch: int) -> float:
    """What a call takes longer when the one before it was another tenant's."""
    given, kind = _given("UINT8, 3 channels", batch)
    turn = itertools.cycle(weights)
    same = milliseconds(_caller(made, given, kind, lambda: weights[0]), options.times)
    other = milliseconds(_caller(made, given, kind, lambda: next(turn)), options.times)
    section.add(f"a switch of tenants, batches of {batch}", "ms", max(0.0, other - same))
    return max(0.0, other - same)


def _together(
    section: Section, options: Options, made: Any, weights: list[Any], batch: int
) -> float:
    """Frames per second of all workers at once, each with the tenants in turn."""
    given, kind = _given("UINT8, 3 channels", batch)

    def rate(worker: int) -> float:
        turn = itertools.cycle(weights)
        call = _caller(made, given, kind, lambda: next(turn), worker)
        return per_second(call, options.seconds / 2)

    with ThreadPoolExecutor(made.workers) as pool:
        found = sum(pool.map(rate, range(made.workers)))
    section.rate(f"all workers, batches of {batch}", "frames/s", found)
    return found
