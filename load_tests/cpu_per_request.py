"""CPU milliseconds of every process per request or frame, for each service.

    python -m load_tests.cpu_per_request [--services lipsync,text] [--out FILE]
    python -m load_tests.cpu_per_request --launcher PID --url http://127.0.0.1:9000

Starts a Pentad for each service in turn on free ports, or uses the one whose launcher's process id
is given (its lip-sync tenant is then the first one it lists). Clients without a pause; what the
processes spend without requests is measured before and taken off. A client's own time is in
another process and does not count, but takes its share of the cores: this says what a request
costs, not how many there can be. Prints Markdown; `--out` writes JSON beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import psutil

from load_tests import machine
from load_tests.client import Address
from load_tests.cpu_time import GATEWAY, SERVER, between, each, spent
from load_tests.cpu_works import WORKS, Ask, Stack, Work, narrow_tenant, stack
from load_tests.kills import KillsError, own_stack
from load_tests.mixed import OK
from load_tests.servers import ROOT

SERVICES = tuple(dict.fromkeys(work.service for work in WORKS))
WARM = 3.0
IDLE = 6.0
"""Seconds without a request: more than one round of canaries (`health.canary_interval_seconds`)."""


class WorkError(Exception):
    """A call failed; its cost would be somebody else's."""


@dataclass(frozen=True)
class Row:
    """What one work cost.

    Attributes:
        work: its name.
        service: whose it is.
        clients: that called at once.
        unit: request, text, pair or frame.
        rate: units a second.
        milliseconds: of CPU a unit, by process.
    """

    work: str
    service: str
    clients: int
    unit: str
    rate: float
    milliseconds: dict[str, float]


class _Clients:
    """Clients that call without a pause until they are told to stop.

    They are not cancelled: before Python 3.12 a call's time limit may swallow that.
    """

    def __init__(self, asks: Sequence[Ask]) -> None:
        self.done = 0
        self._stopping = False
        self._tasks = [asyncio.create_task(self._repeat(ask)) for ask in asks]

    async def _repeat(self, ask: Ask) -> None:
        while not self._stopping:
            outcome = await ask()
            if outcome != OK:
                raise WorkError(outcome)
            self.done += 1

    async def work(self, seconds: float) -> None:
        """Let them call for so long.

        Raises:
            WorkError: a call failed.
        """
        ended, _ = await asyncio.wait(
            self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in ended:
            task.result()

    async def stop(self) -> None:
        """Let every client finish its call."""
        self._stopping = True
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _idle(launcher: psutil.Process) -> dict[str, float]:
    """Return CPU seconds a second without requests."""
    before, begin = spent(launcher), time.monotonic()
    await asyncio.sleep(IDLE)
    lasted = time.monotonic() - begin
    return {name: value / lasted for name, value in between(before, spent(launcher)).items()}


async def _measure(
    work: Work, found: Stack, launcher: psutil.Process, idle: dict[str, float], seconds: float
) -> Row:
    """Count what ended while the clock ran: calls under way at both ends even out."""
    clients = _Clients([work.asks(found) for _ in range(work.clients)])
    try:
        await clients.work(WARM)
        first, before, begin = clients.done, spent(launcher), time.monotonic()
        await clients.work(seconds)
        calls, lasted = clients.done - first, time.monotonic() - begin
        costs = between(before, spent(launcher))
    finally:
        await clients.stop()
    if not calls:
        raise WorkError(f"no call ended within {seconds:.0f} s")
    items = calls * work.items
    return Row(
        work.name, work.service, work.clients, work.unit, round(items / lasted, 2),
        {name: round(value, 3) for name, value in each(costs, idle, lasted, items).items()},
    )  # fmt: skip


async def measure(
    main: Address, launcher: psutil.Process, works: Sequence[Work], seconds: float, cache: Path
) -> list[Row]:
    """Measure works one after the other on a Pentad that is ready.

    Raises:
        WorkError: a call failed.
    """
    found, rows = await stack(main, cache), []
    idle = await _idle(launcher)
    for work in works:
        rows.append(await _measure(work, found, launcher, idle, seconds))
        print(rows[-1], file=sys.stderr)
    whole = {name: round(value * 1e3, 1) for name, value in idle.items()}
    rows.append(Row("no request", works[0].service, 0, "second", 1.0, whole))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return Markdown: gateway, Triton and what else is below the launcher have columns."""
    head = "| work | clients | a second | per | gateway | tritonserver | models |\n"
    lines = [head + "|---|--:|--:|---|--:|--:|---|"]
    for row in rows:
        own = dict(row.milliseconds)
        gateway, server = own.pop(GATEWAY, 0.0), own.pop(SERVER, 0.0)
        rest = ", ".join(
            f"{name} {value:.2f}" for name, value in sorted(own.items()) if value >= 0.005
        )
        rate = f"{row.rate:,.1f}" if row.clients else ""
        lines.append(
            f"| {row.work} | {row.clients or ''} | {rate} | {row.unit} | {gateway:.2f} "
            f"| {server:.2f} | {rest} |"
        )
    return "\n".join(lines)


def run(options: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Measure as the command line says; returns what failed as well, by service.

    Raises:
        ValueError: an unknown service.
        WorkError: a call to the running Pentad failed.
    """
    cache, seconds = options.cache, options.seconds
    chosen = options.services.split(",")
    if unknown := set(chosen) - set(SERVICES):
        raise ValueError(f"no service {unknown.pop()}")
    works = [work for work in WORKS if work.service in chosen]
    if options.launcher:
        address, launcher = Address.parse(options.url), psutil.Process(options.launcher)
        return asyncio.run(measure(address, launcher, works, seconds, cache)), []
    rows: list[Row] = []
    failures = []
    for service in dict.fromkeys(work.service for work in works):
        own = [work for work in works if work.service == service]
        try:
            rows += _on_own_stack(service, own, seconds, cache)
        except (KillsError, WorkError) as error:
            failures.append(f"{service}: {error}")
    return rows, failures


def _on_own_stack(service: str, works: list[Work], seconds: float, cache: Path) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="pentad-cpu-") as folder:
        further = narrow_tenant(Path(folder)) if service == "lipsync" else {}
        with own_stack([service], **further) as (address, launcher):
            return asyncio.run(measure(address, launcher, works, seconds, cache))


def main() -> int:
    """Measure, print the table, and write it."""
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.cpu_per_request", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--services", default=",".join(SERVICES))
    parser.add_argument("--seconds", type=float, default=15, help="of one measurement")
    parser.add_argument("--launcher", type=int, help="process id of a launcher that runs")
    parser.add_argument("--url", default="http://127.0.0.1:9000", help="its main port")
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "cache")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    try:
        rows, failures = run(options)
    except (KillsError, WorkError, psutil.NoSuchProcess, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    facts = machine.processor()
    print(
        f"\n{facts['cores']} cores of {facts['cpu']}, load {facts['load_average']:.1f} at the end"
    )
    print("Milliseconds of CPU.\n\n" + table(rows))
    if options.out:
        about = {"machine": facts, "date": date.today().isoformat()}
        content = {"about": about, "rows": [asdict(row) for row in rows]}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print("".join(f"{failure}\n" for failure in failures), end="", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
