"""Run locust and judge its figures by ``thresholds.yaml``; 1 when a threshold is broken.

    python -m load_tests.locust_run [--host http://127.0.0.1:9000]

Without a host Pentad is started on free ports. locust itself runs in ``.venv-load``
(``python3 requirements/install.py .venv-load load``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from load_tests import servers
from load_tests.thresholds import Figures, violations

HERE = Path(__file__).resolve().parent
LOCUST = HERE.parent / ".venv-load" / "bin" / "locust"
GRACE_SECONDS = 120
"""How long locust may take beyond its run time."""


def run(host: str, plan: Mapping[str, Any], out: Path) -> dict[str, Figures]:
    """Run the planned users against ``host``; figures by request name, and ``total``.

    Raises:
        FileNotFoundError: locust's environment is missing, or locust wrote no figures.
    """
    seconds = plan["seconds"] + plan["users"] / plan["spawn_rate"]
    command = [str(LOCUST), "-f", str(HERE / "locustfile.py"), "--headless", "--reset-stats"]
    command += ["--host", host, "-u", str(plan["users"]), "-r", str(plan["spawn_rate"])]
    # locust exits with 1 after any failure; the thresholds decide instead.
    command += ["-t", f"{seconds:.0f}s", "--only-summary", "--exit-code-on-error", "0"]
    out.unlink(missing_ok=True)
    env = {**os.environ, "PENTAD_LOAD_FIGURES": str(out), "PYTHONPATH": str(HERE.parent)}
    subprocess.run(command, env=env, check=False, timeout=seconds + GRACE_SECONDS)
    return {name: Figures(**entry) for name, entry in json.loads(out.read_text()).items()}


async def _run_own(plan: Mapping[str, Any], results: Path, out: Path) -> dict[str, Figures]:
    server = servers.pentad("pentad", ("text", "vision", "iot"), "auto")
    async with servers.running(server, results / "logs" / "locust.log"):
        host = f"http://127.0.0.1:{server.env['PENTAD_SERVER__PORT']}"
        return await asyncio.to_thread(run, host, plan, out)


def main() -> int:
    """Run with the users and limits of the thresholds file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", help="main port of a Pentad that already runs")
    parser.add_argument("--seconds", type=float, help="run time, instead of the file's")
    parser.add_argument("--thresholds", type=Path, default=HERE / "thresholds.yaml")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parser.parse_args()
    plan: dict[str, Any] = yaml.safe_load(args.thresholds.read_text())
    plan["seconds"] = args.seconds or plan["seconds"]
    args.results.mkdir(parents=True, exist_ok=True)
    out = args.results.resolve() / "locust.json"
    if args.host:
        figures = run(args.host, plan, out)
    else:
        figures = asyncio.run(_run_own(plan, args.results, out))
    broken = violations(plan["limits"], figures)
    for line in broken:
        print(f"THRESHOLD BROKEN  {line}", file=sys.stderr)
    print("Every threshold is kept." if not broken else f"{len(broken)} thresholds are broken.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
