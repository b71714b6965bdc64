"""`python -m load_tests.lipsync.through_gateway`: gateway and Triton together, over gRPC.

Throughput against plain ONNX Runtime sessions, the latency that the gateway adds to the model
alone, and many narrow tenants with fewer places. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np

from export.lipsync.demo import write_tenants
from export.lipsync.importing import import_files
from load_tests import machine
from load_tests.lipsync.bare_transport import answering
from load_tests.lipsync.gateway_client import Client, Gateway, send_cheaply, serving
from load_tests.lipsync.plain_sessions import CORES, WAYS, PlainSessions, in_threads
from load_tests.lipsync.pool_client import Caller
from load_tests.lipsync.sections import MIB, Row, audio, frames
from load_tests.measure import percentile
from load_tests.servers import ROOT

HOT = 2  # tenants whose calls always are hits
SECTIONS = ("throughput", "latency", "many")


def throughput(
    gateway: Gateway, file: Path, rounds: int, seconds: float, batches: list[int]
) -> Iterator[Row]:
    """Frames per second at each size of batch, in rounds that alternate with the peers."""
    for batch in batches:
        given, sound = frames(batch), audio()
        compact = (given[:, :3] * 255).astype(np.uint8)
        clients = {
            f"gateway, {CORES} clients, {sent.dtype}": [
                Client(gateway.address, sent, sound) for _ in range(CORES)
            ]
            for sent in (given, compact)
        }
        measures: dict[str, Callable[[], float]] = {
            name: lambda some=some: _rate(some, file.stem, seconds)
            for name, some in clients.items()
        }
        for way in WAYS:
            peer = PlainSessions(file, way)
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
        yield f"batch {batch}: plain, {best}", f"{median(rates[best]):.2f} frames/s", ""
        for name, some in clients.items():
            share = median(a / b for a, b in zip(rates[name], rates[best], strict=True))
            figure = f"{median(rates[name]):.2f} frames/s, {share:.3f} of plain"
            yield f"batch {batch}: {name}", figure, ">= 0.95"
            for client in some:
                client.close()


def latency(gateway: Gateway, file: Path, rounds: int) -> Iterator[Row]:
    """One call alone, through the gateway, straight to the model and to gRPC alone, in turns."""
    old, compact = frames(25), (frames(25)[:, :3] * 255).astype(np.uint8)
    for kind, batch, wanted in (
        (old, 1, "<= 3 ms"),
        (compact, 1, "<= 3 ms"),
        (old, 25, "<= 25 % of compute"),
        (compact, 25, "<= 25 % of compute"),
    ):
        given, sound = kind[:batch], audio()
        client = Client(gateway.address, given, sound)
        caller = Caller(SimpleNamespace(url=gateway.url), given, sound)
        client.ask(file.stem)
        through, direct, bare = [], [], []
        with answering(client.least) as address:
            echo = Client(address, given, sound)
            for _ in range(max(3, 8 * rounds // batch)):
                through.append(client.ask(file.stem))
                direct.append(caller.ask(file.stem))
                bare.append(echo.ask(file.stem))
            echo.close()
        added = median(a - b for a, b in zip(through, direct, strict=True))
        figure = (
            f"{added:+.1f} ms on {median(direct):.1f} ms ({100 * added / median(direct):.0f} %)"
        )
        wire = f"batch {batch} ({given.dtype}, {given.nbytes / 1e6:.1f} MB in)"
        yield f"{wire}: added by the gateway", figure, wanted
        yield f"{wire}: gRPC alone, no work", f"{median(bare):.1f} ms", ""
        client.close()
        caller.close()


def many(gateway: Gateway, files: list[Path], calls: int, places: int) -> Iterator[Row]:
    """Tenants at random with few places; beside them calls that always are hits."""
    hot, cold = files[:HOT], files[HOT:]
    given, sound = np.zeros((1, 6, 320, 320), np.float32), audio()
    quiet = _hits(gateway, hot, given, sound, random.Random(0), lambda done: done < calls // 20)
    left, lock = iter(range(calls)), threading.Lock()
    running, spent = [True], []
    sizes: list[dict[str, int]] = []

    def visitor(seed: int) -> None:
        client, chance = Client(gateway.address, given, sound), random.Random(seed)
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                break
            spent.append(client.ask(chance.choice(cold).stem))
            if number % max(1, calls // 10) == 0:
                sizes.append(gateway.memory())
        client.close()

    busy: list[float] = []
    begin = time.monotonic()

    def regular() -> None:
        chance = random.Random(1)
        busy.extend(_hits(gateway, hot, given, sound, chance, lambda done: running[0]))

    watcher = threading.Thread(target=regular)
    watcher.start()
    try:
        in_threads([lambda seed=seed: visitor(seed) for seed in range(2 * CORES)])
    finally:
        running[0] = False
        watcher.join()
    seconds = time.monotonic() - begin
    resident = gateway.tenants()["resident"]
    name = f"{len(files)} narrow tenants, {places} places"
    yield from (
        (f"{name}: {calls} calls", f"0 errors, {calls / seconds:.0f} calls/s", "0 errors"),
        (f"{name}: resident at the end", str(resident), f"<= {places}"),
        (f"{name}: all calls", _figures(spent), ""),
        (f"{name}: hits before", _figures(quiet), ""),
        (f"{name}: hits beside them", _figures(busy), ""),
        *(
            (
                f"{name}: memory of the {part} after each tenth",
                ", ".join(f"{size[part] / MIB:.0f}" for size in sizes) + " MiB",
                "no growth once all places are taken",
            )
            for part in sizes[0]
        ),
    )


def _hits(
    gateway: Gateway,
    hot: list[Path],
    given: np.ndarray,
    sound: np.ndarray,
    chance: random.Random,
    more: Callable[[int], bool],
) -> list[float]:
    client = Client(gateway.address, given, sound)
    for file in hot:
        client.ask(file.stem)
    spent: list[float] = []
    while more(len(spent)):
        spent.append(client.ask(chance.choice(hot).stem))
    client.close()
    return spent


def _rate(clients: list[Client], tenant: str, seconds: float) -> float:
    done = [0] * len(clients)
    begin = time.monotonic()

    def loop(number: int) -> None:
        while time.monotonic() < begin + seconds:
            clients[number].ask(tenant)
            done[number] += clients[number].count

    in_threads([lambda number=number: loop(number) for number in range(len(clients))])
    return sum(done) / (time.monotonic() - begin)


def _figures(values: list[float]) -> str:
    return f"p50 {median(values):.1f} ms, p99 {percentile(values, 0.99):.1f} ms ({len(values)})"


def _tenants(folder: Path, count: int, width: float) -> list[Path]:
    files = list(write_tenants(folder, count, width=width))
    print(f"importing {count} tenants of width {width}", file=sys.stderr)
    results = import_files(files, ROOT / "model_repository", layouts=("blocked",))
    if refused := [result for result in results if result.error]:
        raise SystemExit(f"{refused[0].file.name}: {refused[0].error}")
    return files


def _shown(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        print(*row, sep=" | ", file=sys.stderr)
        yield row


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 8, 25])
    parser.add_argument("--narrow", type=int, default=1200, help="narrow tenants of `many`")
    parser.add_argument("--calls", type=int, default=20_000, help="of `many`")
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    send_cheaply()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, which ends Pentad
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pentad-bench-") as name:
        folder = Path(name)
        if {"throughput", "latency"} & set(options.sections):
            full = _tenants(folder / "full", 1, 1.0)
            with serving(folder / "one", folder / "full") as gateway:
                if "latency" in options.sections:
                    rows += _shown(latency(gateway, full[0], 10 * options.rounds))
                if "throughput" in options.sections:
                    rows += _shown(
                        throughput(
                            gateway, full[0], options.rounds, options.seconds, options.batches
                        )
                    )
        if "many" in options.sections:
            narrow = _tenants(folder / "narrow", options.narrow, 0.125)
            for places in (options.narrow, max(HOT + 1, options.narrow // 12)):
                limit = {"CAPACITY__MAX_MODELS": str(places)}
                with serving(folder / str(places), folder / "narrow", **limit) as gateway:
                    rows += _shown(many(gateway, narrow, options.calls, places))
    facts = machine.processor()
    head = f"{facts['cores']} cores of {facts['cpu']}, load {facts['load_average']:.1f} at the end"
    lines = ["| | measured | wanted |", "|---|---|---|"]
    table = "\n".join([head, "", *lines, *(f"| {' | '.join(row)} |" for row in rows), ""])
    print(table)
    if options.out:
        options.out.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
