"""Run perf_analyzer over a service's models.

    python -m load_tests.perf [--service vision] [--concurrency 1,8,32]
    python -m load_tests.perf --triton unix:$PWD/var/triton/grpc:8001

Without an address Pentad is started on free ports. Writes perf-SERVICE.csv and .md.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load_tests import servers
from load_tests.perf.binary import PerfAnalyzerError, command
from load_tests.perf.inputs import batches_rows, write_inputs

SECONDS = 600
"""Longest time for one model's sweep."""
STABILITY = "999"
"""Percent by which the three windows may differ. perf_analyzer writes nothing when they differ
more, which on a shared machine would be most of the time; windows are long instead."""
COLUMNS = ("Inferences/Second", "p50 latency", "p95 latency", "p99 latency")


@dataclass(frozen=True)
class Target:
    """One model and how it is asked; see `load_tests.perf.inputs` for its inputs."""

    model: str
    batch: int
    """Rows in a request."""


TARGETS = {
    "text": (Target("text_embedding", 1), Target("sentence_encoder", 16)),
    "vision": (Target("image_classification", 1), Target("image_classifier", 4)),
}
"""The BYTES pipeline with one item, and its network with the batches the pipeline sends it."""


def sweep(program: list[str], url: str, target: Target, levels: Sequence[int]) -> list[list[str]]:
    """Return rows: model, batch, concurrency, inferences/s, p50, p95, p99 in milliseconds.

    Raises:
        subprocess.CalledProcessError: perf_analyzer failed; its own message is already printed.
    """
    rows = []
    batched = batches_rows(url, target.model)
    for level in levels:
        with tempfile.TemporaryDirectory() as folder:
            out, batch = Path(folder, "out.csv"), target.batch
            # Without batching the batch is one of the model's own dimensions.
            stacked = 0 if batched else target.batch
            data, batch = write_inputs(target.model, stacked, Path(folder)), batch if batched else 1
            options = ["-m", target.model, "-u", url, "-i", "grpc", "-b", str(batch)]
            options += ["--input-data", str(data)]
            options += ["--concurrency-range", str(level), "--measurement-mode", "count_windows"]
            options += ["--measurement-request-count", str(max(200, 25 * level))]
            options += ["--stability-percentage", STABILITY, "-f", str(out)]
            subprocess.run([*program, *options], check=True, timeout=SECONDS, stdout=sys.stderr)
            with out.open() as file:
                measured = next(csv.DictReader(file))
        rate, *latencies = (float(measured[column]) for column in COLUMNS)
        rate *= target.batch / batch
        figures = [f"{rate:.1f}", *(f"{micros / 1e3:.2f}" for micros in latencies)]
        rows.append([target.model, str(target.batch), str(level), *figures])
    return rows


def write(folder: Path, service: str, rows: list[list[str]]) -> str:
    """Write perf-SERVICE.csv and .md; return the table."""
    head = ["model", "batch", "concurrency", "inferences/s", "p50 ms", "p95 ms", "p99 ms"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"perf-{service}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
    (folder / f"perf-{service}.md").write_text(table)
    return table


async def run(args: argparse.Namespace, program: list[str]) -> list[list[str]]:
    """Sweep every target on a running Triton, or on one started for it."""
    levels = [int(level) for level in args.concurrency.split(",")]

    def everything(url: str) -> list[list[str]]:
        return [
            row for target in TARGETS[args.service] for row in sweep(program, url, target, levels)
        ]

    if args.triton:
        return await asyncio.to_thread(everything, args.triton)
    server = servers.build("pentad", args.service, args.cache)
    async with servers.running(server, args.results / "logs" / "perf.log"):
        return await asyncio.to_thread(everything, server.env["PENTAD_TRITON__URL"])


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--service", choices=list(TARGETS), default="text")
    parser.add_argument("--triton", help="gRPC address of a running Triton")
    parser.add_argument("--concurrency", default="1,8,32")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"))
    parser.add_argument("--results", type=Path, default=Path("load_tests/results"))
    args = parser.parse_args()
    try:
        program = command(args.cache)
    except PerfAnalyzerError as error:
        print(error, file=sys.stderr)
        return 2
    print(write(args.results, args.service, asyncio.run(run(args, program))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
