"""Throughput, latency and rows per call of the batching models, against trees of another commit.

    python -m load_tests.batching [--works text,vision,iot] [--against TREE …] [--seconds 8]

Starts a Pentad of this tree and of each other one in turn, on free ports, and prints one table:
items a second, median and 95th percentile of a call, and the rows that a call of the network had,
by Triton's own counters. Where a network's configuration has no batches, as with OpenVINO, Triton
counts calls only, and items take the place of rows. Before them the bare engine: the text
encoder in two sessions of one thread, at several rows in a call. Another tree is a
checkout with an environment (`.venv`) and exported models.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from launcher.profile import choose_profile
from load_tests import machine, workload
from load_tests.client import Address
from load_tests.cpu_works import WORKS, Ask, Stack, Work
from load_tests.mixed import OK
from load_tests.servers import ROOT, free_port, stop

WARM = 3.0
START_SECONDS = 120.0
ROWS = (1, 8, 16, 32)
"""Of the bare engine's calls."""
BARE_SECONDS = 1.5
NETWORKS = {
    "embed": "sentence_encoder",
    "bertscore": "token_encoder",
    "classify": "image_classifier",
    "enroll": "face_embedder",
}


@dataclass(frozen=True)
class Row:
    """One work on one tree.

    Attributes:
        tree: which.
        work: name and clients.
        rate: items a second.
        p50: milliseconds of a call.
        p95: likewise.
        rows: of a call of the network, or items where Triton does not count rows.
    """

    tree: str
    work: str
    rate: float
    p50: float
    p95: float
    rows: float


@contextlib.contextmanager
def pentad(tree: Path, service: str) -> Iterator[tuple[Address, str]]:
    """Run a tree's Pentad; yields its main port and the URL of Triton's metrics."""
    with tempfile.TemporaryDirectory(prefix="pentad-batching-") as folder:
        main, metrics, own = free_port(), free_port(), free_port()
        env = {
            **{name: value for name, value in os.environ.items() if "PENTAD_" not in name},
            "PENTAD_SERVICES": json.dumps([service]),
            "PENTAD_SERVER__PORT": str(main),
            f"PENTAD_{service.upper()}__PORT": str(own),
            "PENTAD_EMBEDDED__METRICS_PORT": str(metrics),
            "PENTAD_TRITON__METRICS_URL": f"http://127.0.0.1:{metrics}/metrics",
            "PENTAD_PATHS__STATE": folder,
        }
        command = [str(tree / ".venv" / "bin" / "python"), "-m", "launcher", "run"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=tree, env=env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _until_ready(f"http://127.0.0.1:{main}/readyz", process)
            yield Address("127.0.0.1", main), env["PENTAD_TRITON__METRICS_URL"]
        finally:
            stop(process)


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as reply:
            if reply.status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("Pentad did not become ready")


async def measured(tree: str, work: Work, found: Stack, metrics: str, seconds: float) -> Row:
    """Measure one work on a Pentad that is ready."""
    times: list[float] = []
    stopping = asyncio.Event()

    async def client(ask: Ask) -> None:
        while not stopping.is_set():
            begin = time.perf_counter()
            if (outcome := await ask()) != OK:
                raise RuntimeError(f"{work.name}: {outcome}")
            times.append(time.perf_counter() - begin)

    clients = [asyncio.create_task(client(work.asks(found))) for _ in range(work.clients)]
    await asyncio.sleep(WARM)
    network = NETWORKS[work.name.split(",")[0]]
    before, begin = await asyncio.to_thread(_counted, metrics, network), time.perf_counter()
    first = len(times)
    await asyncio.sleep(seconds)
    for _ in range(120):  # a slow machine: calls may last longer than that
        if len(times) >= first + 2:
            break
        await asyncio.sleep(0.5)
    lasted, took = time.perf_counter() - begin, times[first:]
    after = await asyncio.to_thread(_counted, metrics, network)
    stopping.set()
    await asyncio.gather(*clients)
    rows, executions = (late - early for late, early in zip(after, before, strict=True))
    cut = statistics.quantiles(took, n=20)
    return Row(
        tree, f"{work.name}, {work.clients} clients", len(took) * work.items / lasted,
        statistics.median(took) * 1e3, cut[18] * 1e3,
        (rows if rows > executions else len(took) * work.items) / executions,
    )  # fmt: skip


def _counted(url: str, network: str) -> tuple[float, float]:
    """Rows and executions of a network, as Triton counts."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        text = reply.read().decode()
    found = []
    for name in ("nv_inference_count", "nv_inference_exec_count"):
        lines = re.findall(rf'^{name}{{model="{network}"[^}}]*}} (\S+)$', text, re.M)
        found.append(sum(map(float, lines)))
    return found[0], found[1]


Run = Callable[[dict[str, np.ndarray]], object]


def bare_encoder(requests: Sequence[Sequence[str]]) -> dict[int, float]:
    """Texts a second of the encoder in two sessions of one thread, by rows in a call.

    Args:
        requests: Texts of each; they go through the network sorted by length, a request at a time
            or, where it has fewer texts than a call has rows, all together.
    """
    from tokenizers import Tokenizer

    folder = ROOT / "model_repository"
    tokenizer = Tokenizer.from_file(str(folder / "text_embedding" / "1" / "tokenizer.json"))
    together = [list(itertools.chain.from_iterable(requests))]
    groups = together if len(requests[0]) < max(ROWS) else requests
    encoded = [
        sorted((item.ids for item in tokenizer.encode_batch_fast(texts)), key=len)
        for texts in groups
    ]
    runs = sessions(
        folder / "sentence_encoder" / "1" / "model.onnx", choose_profile("auto", folder)
    )
    return {rows: _bare_rate(runs, encoded, rows) for rows in ROWS}


def sessions(graph: Path, engine: str) -> list[Run]:
    """Two sessions of one thread of the engine that `make run` takes here, as it configures it."""
    if engine == "openvino":
        import openvino as ov

        hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        hints["INFERENCE_PRECISION_HINT"] = "bf16"
        core = ov.Core()
        found = [core.compile_model(graph, "CPU", hints) for _ in range(2)]
        return [partial(_infer, one.create_infer_request()) for one in found]
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return [partial(ort.InferenceSession(graph, options).run, None) for _ in range(2)]


def _infer(request: Any, feeds: dict[str, np.ndarray]) -> object:
    return request.infer(feeds, share_inputs=True)


def _bare_rate(
    runs: Sequence[Run], encoded: Sequence[Sequence[list[int]]], most_rows: int
) -> float:
    feeds = []
    for group in encoded:
        for start in range(0, len(group), most_rows):
            chunk = group[start : start + most_rows]
            ids = np.zeros((len(chunk), max(map(len, chunk))), np.int64)
            mask = np.zeros_like(ids)
            for row, item in enumerate(chunk):
                ids[row, : len(item)], mask[row, : len(item)] = item, 1
            feeds.append({"input_ids": ids, "attention_mask": mask})
    counts = [0] * len(runs)
    turns = [random.Random(number).sample(feeds, len(feeds)) for number in range(len(runs))]
    end = time.perf_counter() + BARE_SECONDS

    def work(number: int) -> None:
        for feed in itertools.cycle(turns[number]):
            if time.perf_counter() >= end:
                return
            runs[number](feed)
            counts[number] += len(feed["input_ids"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(runs))]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, one work after the other."""
    lines = [
        "| work | tree | a second | p50 ms | p95 ms | rows a call | to the first tree |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    first: dict[str, float] = {}
    for row in sorted(rows, key=lambda one: [other.work for other in rows].index(one.work)):
        ratio = row.rate / first.setdefault(row.work, row.rate)
        lines.append(
            f"| {row.work} | {row.tree} | {row.rate:,.1f} | {row.p50:.1f} | {row.p95:.1f} "
            f"| {row.rows:.1f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def works(services: Sequence[str]) -> list[Work]:
    """Return the works of these services; short texts for many more clients, too."""
    found = [
        work
        for work in WORKS
        if work.service in services and work.service in ("text", "vision", "iot")
    ]
    many = [replace(work, clients=128) for work in found if work.clients == 32]
    return [*found, *many]


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.batching", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--works", default="text,vision,iot")
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="other trees")
    parser.add_argument("--seconds", type=float, default=8, help="of one measurement")
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "cache")
    options = parser.parse_args()
    rows: list[Row] = []
    services = options.works.split(",")
    facts = machine.processor()
    print(f"{facts['cores']} cores of {facts['cpu']}, load {facts['load_average']:.1f}", flush=True)
    if "text" in services:
        for kind, requests in (
            ("short", workload.embed_short(256)),
            ("100 mixed", workload.embed_mixed(4)),
        ):
            told = {count: round(rate) for count, rate in bare_encoder(requests).items()}
            print(f"bare encoder, {kind} texts/s by rows: {told}", flush=True)
    for service in services:
        for tree in (*options.against, ROOT):
            with pentad(tree.resolve(), service) as (address, metrics):
                found = Stack(address, "", "", options.cache)
                for work in works([service]):
                    row = asyncio.run(
                        measured(tree.resolve().name, work, found, metrics, options.seconds)
                    )
                    print(row, flush=True)
                    rows.append(row)
    print("\n" + table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
