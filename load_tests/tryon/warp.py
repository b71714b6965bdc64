"""`python -m load_tests.tryon.warp`: time of warp jobs of 768 x 1024 in a real tritonserver.

Person and garment come as files and the result goes as one, as in production. Prints a Markdown
table, and fails when the median inference takes longer than it may.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from load_tests import machine
from tests.support.tryon_model import serving
from tests.support.tryon_pictures import garment, jpeg, upper

SIZE = (768, 1024)
CASES = ((4, "jackets", 1), (3, "jackets", 4), (2, "shirts", 1), (1, "shirts", 4), (4, "person", 1))
WANTED = 1.5
"""Seconds of the Inference step on two cores."""


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m load_tests.tryon.warp", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    inference: list[float] = []
    whole: list[float] = []
    rows = ["| case | Inference, s | whole job, s |", "|---|---|---|"]
    with (
        tempfile.TemporaryDirectory(prefix="pentad-bench-") as folder,
        serving(Path(folder), resize_to_resolution="false") as model,
    ):
        for number, kind, which in CASES:
            person = upper(number).resize(SIZE, Image.Resampling.LANCZOS)
            worn = upper(which) if kind == "person" else garment(kind, which)
            took: list[tuple[float, float]] = []
            for _ in range(options.rounds + 1):
                begin = time.perf_counter()
                answer = model.run(jpeg(person), jpeg(worn))
                took.append(
                    (answer.report["step_ms"]["Inference"] / 1e3, time.perf_counter() - begin)
                )
            medians = [statistics.median(part) for part in zip(*took[1:], strict=True)]
            rows.append(f"| {number}, {kind} {which} | {medians[0]:.2f} | {medians[1]:.2f} |")
            inference += [one for one, _ in took[1:]]
            whole += [one for _, one in took[1:]]
        rss = model.stub_process().memory_info().rss / 2**20
    median = statistics.median(inference)
    rows.append(f"| all | {median:.2f} (wanted: {WANTED}) | {statistics.median(whole):.2f} |")
    facts = machine.processor()
    print(
        f"{facts['cores']} cores of {facts['cpu']}, load {facts['load_average']:.1f} at the end\n"
    )
    print("\n".join(rows))
    print(f"\nSlowest inference {max(inference):.2f} s; memory of the model {rss:.0f} MiB.")
    return 0 if median <= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
