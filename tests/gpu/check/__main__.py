"""`python -m tests.gpu.check`: writes docs/reports/gpu-check-DEVICE.{json,md}; 1: a part failed."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.gpu.check import correctness, environment, lipsync, plans, report, text
from tests.gpu.check.section import Section, measured
from tests.support.text_models import ROOT


def main() -> int:
    """Run the parts that are wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu to try the check itself")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reports", metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="narrow tenants, few repetitions")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    facts = environment.facts(options.device)
    sections = []
    for name in options.parts:
        sys.stderr.write(f"{name} ...\n")
        sections.append(measured(name, _part(name, options)))
        sys.stderr.write(f"{name}: {sections[-1].state} {sections[-1].reason}\n")
    device = re.sub(r"[^a-z0-9]+", "-", facts["device"].lower()).strip("-")
    for file in report.write(options.out, f"gpu-check-{device}", facts, sections):
        print(file)
    return int(any(section.state == "failed" for section in sections))


def _part(name: str, options: argparse.Namespace) -> Callable[[Section], None]:
    """A part with the options that concern it."""
    device, times = options.device, 3 if options.quick else 20
    width, seconds = (0.125, 1.0) if options.quick else (1.0, 10.0)
    parts: dict[str, Callable[[Section], None]] = {
        "correctness": correctness.check,
        "lip-sync engine": lambda one: lipsync.engine(one, device, width, times),
        "lip-sync through Triton": lambda one: lipsync.through_triton(one, width, times),
        "text through Triton": lambda one: text.service(one, seconds),
        "text encoders": lambda one: text.encoders(one, device, seconds),
        "TensorRT plans": lambda one: plans.build(one, times),
    }
    return parts[name]


PARTS = (
    "correctness",
    "lip-sync engine",
    "lip-sync through Triton",
    "text through Triton",
    "text encoders",
    "TensorRT plans",
)

if __name__ == "__main__":
    sys.exit(main())
