"""What is measured, each section with rows for the table."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from load_tests.lipsync.plain_sessions import CORES, WAYS, PlainSessions, in_threads
from load_tests.lipsync.pool_client import Caller, Pool
from load_tests.measure import percentile

Row = tuple[str, str, str]
"""What was measured, what came out, what is wanted."""
MIB = 2**20


def frames(count: int) -> np.ndarray:
    """FP32 [count, 6, 320, 320]."""
    return np.random.default_rng(0).random((count, 6, 320, 320), dtype=np.float32)


def audio() -> np.ndarray:
    """FP32 [1, 32, 16, 16]."""
    return np.random.default_rng(1).standard_normal((1, 32, 16, 16), dtype=np.float32)


def throughput(pool: Pool, file: Path, rounds: int, seconds: float) -> list[Row]:
    """Frames per second at batches of 4, 8 and 25, in rounds that alternate with the peers."""
    rows = []
    for batch in (4, 8, 25):
        given, sound = frames(batch), audio()
        pool.load(file)
        callers = [Caller(pool, given, sound) for _ in range(CORES)]
        peers = {way: PlainSessions(file, way) for way in WAYS}
        measures: dict[str, Callable[[], float]] = {
            "1 client": lambda callers=callers: _pool_rate(callers[:1], file.stem, seconds),
            f"{CORES} clients": lambda callers=callers: _pool_rate(callers, file.stem, seconds),
        }
        for way, peer in peers.items():
            measures[way] = lambda peer=peer, given=given, sound=sound: peer.frames_per_second(
                given, sound, seconds
            )
        rates: dict[str, list[float]] = {name: [] for name in measures}
        for number in range(rounds + 1):
            for name, measure in measures.items():
                rate = measure()
                if number:  # the first round warms up
                    rates[name].append(rate)
        best = max(WAYS, key=lambda way: median(rates[way]))
        rows.append((f"batch {batch}: plain, {best}", f"{median(rates[best]):.2f} frames/s", ""))
        for name in rates.keys() - set(WAYS):
            share = median(a / b for a, b in zip(rates[name], rates[best], strict=True))
            figure = f"{median(rates[name]):.2f} frames/s, {share:.3f} of plain"
            rows.append((f"batch {batch}: pool, {name}", figure, ">= 0.95"))
        for caller in callers:
            caller.close()
    return rows


def _pool_rate(callers: list[Caller], tenant: str, seconds: float) -> float:
    done = [0] * len(callers)
    begin = time.monotonic()

    def loop(number: int) -> None:
        while time.monotonic() < begin + seconds:
            callers[number].ask(tenant)
            done[number] += callers[number].count

    in_threads([lambda number=number: loop(number) for number in range(len(callers))])
    return sum(done) / (time.monotonic() - begin)


def switching(pool: Pool, files: list[Path], rounds: int) -> list[Row]:
    """First frame of an imported tenant, and another tenant on every call."""
    caller = Caller(pool, frames(1), audio())
    for file in files:
        pool.load(file)
        caller.ask(file.stem)
    kept, turned, first, load = [], [], [], []
    for _ in range(2 * rounds):  # in turn, so that both see the same neighbours on the machine
        kept += [caller.ask(files[0].stem) for _ in files]
        turned += [caller.ask(file.stem) for file in files]
    steady = median(kept)
    for _ in range(rounds):
        for file in files[1:]:
            pool.unload(file)
            begin = time.perf_counter()
            load.append(pool.load(file)["load_ms"])
            caller.ask(file.stem)
            first.append((time.perf_counter() - begin) * 1e3)
    caller.close()
    return [
        ("one frame, steady", f"{steady:.1f} ms", ""),
        (
            "first frame of an imported tenant, its load included",
            f"{median(first):.1f} ms ({median(load):.1f} of them loading), "
            f"{median(first) / steady:.2f} of steady",
            "<= 2",
        ),
        (
            "another tenant on every call",
            f"{median(turned):.1f} ms, {median(turned) / median(kept):.3f} of one tenant",
            "<= 1.05",
        ),
    ]


def memory(pool: Pool, files: list[Path]) -> list[Row]:
    """Memory per further full-width tenant after its first frames."""
    caller = Caller(pool, frames(1), audio())
    for file in files:
        pool.unload(file)
    pool.load(files[0])
    for _ in range(5):
        caller.ask(files[0].stem)
    before = pool.process().memory_full_info()
    for file in files[1:]:
        pool.load(file)
        for _ in range(2):
            caller.ask(file.stem)
    after = pool.process().memory_full_info()
    more = len(files) - 1
    shared = _file_backed(pool)
    caller.close()
    return [
        (
            "memory per further tenant, resident",
            f"{(after.rss - before.rss) / more / 1e6:.1f} MB",
            "<= 55 MB",
        ),
        (
            f"mapped from files, {len(files)} tenants",
            f"{shared / 1e6:.0f} MB, page cache that processes share",
            "",
        ),
    ]


def _file_backed(pool: Pool) -> int:
    maps = pool.process().memory_maps(grouped=True)
    return sum(region.rss for region in maps if region.path.endswith(".bin"))


def many(pool: Pool, files: list[Path], requests: int, most: int) -> list[Row]:
    """Tenants at random with at most `most` resident, the least recently used one leaving."""
    caller = Caller(pool, np.zeros((1, 6, 320, 320), np.float32), audio())
    chosen = random.Random(0)
    resident: OrderedDict[Path, None] = OrderedDict()
    hits, misses, sizes = [], [], []
    begin = time.monotonic()
    for number in range(requests):
        file = chosen.choice(files)
        start = time.perf_counter()
        missing = file not in resident
        if missing:
            if len(resident) >= most:
                pool.unload(resident.popitem(last=False)[0])
            pool.load(file)
        resident[file] = None
        resident.move_to_end(file)
        caller.ask(file.stem)
        (misses if missing else hits).append((time.perf_counter() - start) * 1e3)
        if number % (requests // 10) == requests // 10 - 1:
            sizes.append(pool.process().memory_info().rss / MIB)
    seconds = time.monotonic() - begin
    for file in resident:
        pool.unload(file)
    caller.close()
    growth = sizes[-1] - sizes[len(sizes) // 2]
    name = f"{len(files)} narrow tenants, {most} resident"
    rows = [
        (f"{name}: {requests} requests", f"0 errors, {requests / seconds:.0f} requests/s", "0"),
        (f"{name}: memory, second half", f"{growth:+.1f} MiB of {sizes[-1]:.0f}", "no growth"),
    ]
    for kind, values in (("hits", hits), ("misses", misses)):
        if values:
            figures = f"p50 {median(values):.1f} ms, p99 {percentile(values, 0.99):.1f} ms"
            rows.append((f"{name}: {kind} ({len(values)})", figures, ""))
    return rows


def hits_beside_loads(pool: Pool, hot: Path, cold: list[Path], seconds: float) -> list[Row]:
    """Latency of a resident tenant, alone and while others are loaded and unloaded without end."""
    caller = Caller(pool, frames(1), audio())
    pool.load(hot)
    rows, loads = [], 0

    def asking(values: list[float]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            values.append(caller.ask(hot.stem))

    def loading() -> None:
        nonlocal loads
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            file = cold[loads % len(cold)]
            pool.load(file)
            pool.unload(file)
            loads += 1

    quiet: list[float] = []
    busy: list[float] = []
    asking(quiet)
    in_threads([lambda: asking(busy), loading])
    for name, values in (("alone", quiet), (f"beside {loads} loads", busy)):
        figures = f"p50 {median(values):.1f} ms, p99 {percentile(values, 0.99):.1f} ms"
        rows.append((f"one frame of a resident tenant, {name}", figures, "p99 alike"))
    caller.close()
    return rows
