"""`make bench-check`: is Pentad still as far ahead of its peers as the committed ratios say?

A short run of `load_tests.bench` with the quickest peers; each ratio of items a second is compared
with that of `ratios.yaml`, and the check fails where one is lower by more than the margin stated
there. Ratios depend on the processor: those of this one are taken, or the lowest of all where it is
not listed. `--record` writes this run's ratios down. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from load_tests import bench, machine

Ratios = dict[str, float]
"""By scenario and peer, such as ``embed_short/litserve``."""
FILE = Path(__file__).with_name("ratios.yaml")
RUNS = {
    "text": ("embed_short,embed_mixed", "litserve,pentad"),
    "vision": ("classify", "litserve,pentad"),
    "iot": ("enroll", "naive,pentad"),
}
SUBJECT = "pentad"


def ratios(medians: list[dict[str, Any]]) -> Ratios:
    """Return how many times as many items a second Pentad makes, from a bench's JSON."""
    rates = {(row["scenario"], row["server"]): row["items_per_second"] for row in medians}
    return {
        f"{scenario}/{peer}": round(rates[scenario, SUBJECT] / rate, 3)
        for (scenario, peer), rate in rates.items()
        if peer != SUBJECT
    }


def wanted(machines: Mapping[str, Ratios], processor: str) -> Ratios:
    """Return the ratios to reach on a processor; the lowest of all on one that is not listed."""
    if processor in machines:
        return machines[processor]
    names = dict.fromkeys(name for table in machines.values() for name in table)
    return {
        name: min(table[name] for table in machines.values() if name in table) for name in names
    }


def misses(measured: Ratios, goals: Ratios, margin: float) -> list[str]:
    """Return a sentence for every ratio that is lower than its goal by more than the margin.

    One that was not measured is missed, too.
    """
    return [
        f"{name}: {goal:.2f} before, {measured.get(name, 0.0):.2f} now"
        for name, goal in goals.items()
        if not measured.get(name, 0.0) >= goal * (1 - margin)
    ]


def named(facts: Mapping[str, Any]) -> str:
    """Return what a processor is listed as: its extensions decide what engines it has."""
    return f"{facts['cores']} cores of {facts['cpu']} ({', '.join(facts['flags'])})"


def main(argv: list[str] | None = None) -> int:
    """Measure and compare; 1 where a ratio is lower by more than the margin, or an answer wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warmup", type=float, default=10)
    parser.add_argument("--results", type=Path, default=Path("load_tests/results/check"))
    parser.add_argument("--record", action="store_true", help="write the ratios to ratios.yaml")
    options = parser.parse_args(argv)
    measured: Ratios = {}
    for service, (scenarios, peers) in RUNS.items():
        outcome = bench.main([
            "--services", service, "--scenarios", scenarios, "--peers", peers,
            "--rounds", str(options.rounds), "--seconds", str(options.seconds),
            "--warmup", str(options.warmup), "--results", str(options.results),
        ])  # fmt: skip
        if outcome:
            return outcome
        told = json.loads((options.results / f"bench-{service}.json").read_text("utf-8"))
        measured |= ratios(told["medians"])
    committed = yaml.safe_load(FILE.read_text("utf-8"))
    processor = named(machine.processor())
    if options.record:
        committed["machines"][processor] = measured
        FILE.write_text(yaml.safe_dump(committed, sort_keys=False), "utf-8")
        return 0
    margin, machines = committed["margin"], committed["machines"]
    known = "" if processor in machines else " (not listed: the lowest of all are wanted)"
    print(f"{processor}{known}, margin {margin:.0%}")
    for name, ratio in measured.items():
        print(f"{name}: {ratio:.2f}, wanted {wanted(machines, processor).get(name, 0.0):.2f}")
    missed = misses(measured, wanted(machines, processor), margin)
    for sentence in missed:
        print(f"slower: {sentence}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
