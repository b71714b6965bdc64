"""`python -m load_tests.lipsync`: the Triton model `lipsync` against plain ONNX Runtime sessions.

Everything is measured in one run, in rounds that alternate, with random weights of the documented
network; frames go through registered shared memory. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from export.lipsync.demo import write_tenants
from export.lipsync.importing import import_files
from load_tests import machine
from load_tests.lipsync import sections
from load_tests.lipsync.plain_sessions import session
from load_tests.lipsync.pool_client import Caller, Pool, serving
from load_tests.servers import ROOT

TENANTS = 7
SECTIONS = ("throughput", "switching", "memory", "loads", "many")


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m load_tests.lipsync", description=__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement")
    parser.add_argument("--narrow", type=int, default=1200, help="narrow tenants of `many`")
    parser.add_argument("--requests", type=int, default=20_000, help="of `many`")
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pentad-bench-") as folder:
        rows = _measure(Path(folder), options)
    lines = ["| | measured | wanted |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    facts = machine.processor()
    head = f"{facts['cores']} cores of {facts['cpu']}, load {facts['load_average']:.1f} at the end"
    table = "\n".join([head, "", *lines, ""])
    print(table)
    if options.out:
        options.out.write_text(table, encoding="utf-8")
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> list[sections.Row]:
    repository = folder / "repository"
    shutil.copytree(
        ROOT / "model_repository" / "lipsync",
        repository / "lipsync",
        ignore=shutil.ignore_patterns("*.json", "__pycache__"),
    )
    full = _tenants(folder / "full", TENANTS, 1.0)
    rows: list[sections.Row] = []
    with serving(repository, folder / "triton.log") as pool:
        rows.append(_check(pool, full[0]))
        if "memory" in options.sections:  # before anything else has used memory
            rows += sections.memory(pool, full)
        if "throughput" in options.sections:
            rows += sections.throughput(pool, full[0], options.rounds, options.seconds)
        if "switching" in options.sections:
            rows += sections.switching(pool, full, options.rounds)
        if "loads" in options.sections:
            rows += sections.hits_beside_loads(pool, full[0], full[1:], 3 * options.seconds)
        if "many" in options.sections:
            narrow = _tenants(folder / "narrow", options.narrow, 0.125)
            for most in (options.narrow, max(1, options.narrow // 12)):
                rows += sections.many(pool, narrow, options.requests, most)
    return rows


def _tenants(folder: Path, count: int, width: float) -> list[Path]:
    print(f"writing and importing {count} tenants of width {width}", file=sys.stderr)
    files = write_tenants(folder, count, width=width)
    results = import_files(files, ROOT / "model_repository", layouts=("blocked",))
    refused = [result for result in results if result.error]
    if refused:
        raise SystemExit(f"{refused[0].file.name}: {refused[0].error}")
    return files


def _check(pool: Pool, file: Path) -> sections.Row:
    """Return the answers must be the plain session's before their speed counts."""
    given, sound = sections.frames(2), sections.audio()
    caller = Caller(pool, given, sound)
    pool.load(file)
    caller.ask(file.stem)
    expected = np.concatenate(
        [
            session(file, 1).run(["output"], {"input": frame[None], "audio": sound})[0]
            for frame in given
        ]
    )
    difference = float(np.abs(caller.mouths() - expected).max())
    caller.close()
    return "largest difference to a plain session", f"{difference:.1e}", "<= 1e-5"


if __name__ == "__main__":
    sys.exit(main())
