"""Check this machine's GPU, lip-sync first.

Writes gpu-check-DEVICE.{json,md} after every part. Exit status: 0, nothing failed; 1, a part
failed or none could run; 2, there is no such device, part or folder of wheels.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.gpu.check import machine, report, wheels
from tests.gpu.check.options import ROOT, Options
from tests.gpu.check.parts import GROUPS, PARTS, Part, chosen
from tests.gpu.check.runner import sections
from tests.gpu.check.section import Section

BUDGET = 840.0
"""Seconds; with the start of a machine a quarter of an hour."""


def main(argv: list[str] | None = None) -> int:
    """Run the parts that are wanted."""
    options = _parser().parse_args(argv)
    try:
        parts = chosen(options.parts)
        with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
            return _check(parts, options, Path(folder))
    except (ValueError, wheels.WheelsError) as error:
        sys.stderr.write(f"gpu-check: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu.check",
        description=__doc__,
        epilog="parts: " + "; ".join(f"{part.name}, {part.what}" for part in PARTS),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"parts or groups ({', '.join(GROUPS)}); all"
    )
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu to try the check itself")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reports", metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="narrow tenants, few repetitions")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS", help="of all")
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="install these first, without a network"
    )
    return parser


def _check(parts: list[Part], options: argparse.Namespace, work: Path) -> int:
    python, variables, left_out = Path(sys.executable), {}, []
    if options.wheels:
        python, left_out = wheels.environment(options.wheels, work / "venv")
        variables = wheels.variables(options.wheels)
    facts = _facts(python, options.device)
    if machine.UNUSABLE in facts:
        raise ValueError(
            f"torch cannot use {options.device} ({facts[machine.UNUSABLE]}); "
            "--device cpu runs the check without a GPU"
        )
    if left_out:
        facts["wheels that do not fit"] = ", ".join(left_out)
    told = Options(options.device, options.quick, work)
    results = sections(parts, told, python, options.budget, variables)
    return _report(results, options.out, facts)


def _report(results: Iterator[Section], folder: Path, facts: dict[str, Any]) -> int:
    """Write the report anew after every part; print the verdict after the last."""
    name = "gpu-check-" + re.sub(r"[^a-z0-9]+", "-", facts["device"].lower()).strip("-")
    done: list[Section] = []
    files: list[Path] = []
    for section in results:
        done.append(section)
        words = f"{section.name}: {section.state} {section.headline or section.reason}".rstrip()
        sys.stderr.write(f"{words} ({section.seconds:g} s)\n")
        files = report.write(folder, name, facts, done)
    print(*report.verdict(facts, done), *files, sep="\n")
    return int(not report.passed(done))


def _facts(python: Path, device: str) -> dict[str, Any]:
    """Found by the interpreter that runs the parts."""
    command = [str(python), "-m", "tests.gpu.check.machine", device]
    ended = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE)
    if ended.returncode:
        return {machine.UNUSABLE: f"asking for it ended with status {ended.returncode}"}
    return dict(json.loads(ended.stdout))


if __name__ == "__main__":
    sys.exit(main())
