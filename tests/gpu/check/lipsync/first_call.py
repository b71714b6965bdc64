"""What a new process waits for: libraries, the engine, a tenant, the first call of each batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.gpu.check.options import Options
from tests.gpu.check.section import Section

LATE = 10.0
"""Times a later call that a first one may take on a GPU, where it takes `LATE_MS` at least: more is
the planning of convolutions or a capture, which belongs to the load of a graph."""
LATE_MS = 100.0


def check(section: Section, options: Options) -> None:
    """Time each step of a process in which nothing was imported yet.

    Raises:
        AssertionError: a first call waited for what belongs to the load.
    """
    bench, took = timed(lambda: __import__("tests.gpu.check.lipsync.bench", fromlist=["*"]))
    section.add("import of torch, ONNX Runtime and the engine", "s", took / 1e3)
    from tests.gpu.check.timing import milliseconds
    from tests.support.lipsync_tenants import audio, frames

    section.against = "a later call"
    (tenant,) = bench.tenants(options, 1)
    late: list[str] = []
    workers, batches = (1, (1, 4)) if options.quick else (bench.WORKERS, bench.ALL)
    with bench.engine(options, workers, batches=batches) as made:
        weights, load = timed(lambda: made.load(tenant.blob))
        section.add("load of the first tenant of a graph", "ms", load)
        for batch in batches:
            call = _call(bench, made, weights, frames(batch), audio())
            _, first = timed(call)
            later = milliseconds(call, options.times)
            section.add(f"first call, batch of {batch}", "ms", first, later)
            if options.cuda and is_late(first, later):
                late.append(f"{first:.0f} ms in batches of {batch} ({later:.1f} ms later)")
    section.headline = f"a graph's first tenant is loaded in {load / 1e3:.2f} s"
    assert not late, f"the first call takes {', '.join(late)}"


def _call(bench: Any, made: Any, weights: Any, given: Any, sound: Any) -> Callable[[], object]:
    return lambda: bench.ask(made, weights, given, sound)


def is_late(first: float, later: float) -> bool:
    """Whether a first call did what a load should have done; both in milliseconds."""
    return first > max(LATE_MS, LATE * later)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its milliseconds."""
    begin = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - begin) * 1e3
