"""Results of a benchmark: medians over rounds, ratios, JSON and Markdown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Result:
    """One scenario on one server, in one round or as the median of rounds."""

    server: str
    scenario: str
    unit: str
    clients: int
    requests_per_second: float
    items_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests: int
    errors: int
    health_p99_ms: float
    """Of GET on the health path meanwhile, every 50 ms."""
    deviation: float
    """Largest deviation from the reference answers; see ``scenarios.deviation``."""
    right: bool
    """Whether every checked answer was within the tolerance."""


def medians(results: Iterable[Result]) -> list[Result]:
    """Return one result per server and scenario: medians of rates and latencies over the rounds.

    Requests and errors are summed, the deviation is the worst.
    """
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result.scenario, result.server].append(result)
    return [_median(rounds) for rounds in groups.values()]


def _median(rounds: list[Result]) -> Result:
    rates = ("requests_per_second", "items_per_second")
    fields = (*rates, "p50_ms", "p95_ms", "p99_ms", "health_p99_ms")
    middle = {name: median(getattr(result, name) for result in rounds) for name in fields}
    first = rounds[0]
    return Result(
        server=first.server,
        scenario=first.scenario,
        unit=first.unit,
        clients=first.clients,
        requests=sum(result.requests for result in rounds),
        errors=sum(result.errors for result in rounds),
        deviation=max(result.deviation for result in rounds),
        right=all(result.right for result in rounds),
        **middle,
    )


def markdown(results: list[Result], subject: str) -> str:
    """Return one table per scenario; the last columns compare ``subject`` with each server."""
    parts = []
    for scenario in dict.fromkeys(result.scenario for result in results):
        rows = [result for result in results if result.scenario == scenario]
        parts.append(_table(scenario, rows, subject))
    return "\n\n".join(parts) + "\n"


def _table(scenario: str, rows: list[Result], subject: str) -> str:
    own = next((row for row in rows if row.server == subject), None)
    head = f"### {scenario} ({rows[0].clients} clients)\n\n"
    head += f"| server | requests/s | {rows[0].unit}/s | p50 ms | p95 ms | p99 ms | health p99 ms "
    head += f"| errors | deviation | {subject} is faster by |\n|---{'|--:' * 9}|\n"
    lines = []
    for row in sorted(rows, key=lambda row: row.items_per_second):
        ratio = None
        if own and row is not own and row.items_per_second:
            ratio = own.items_per_second / row.items_per_second
        lines.append(
            f"| {row.server} | {row.requests_per_second:.1f} | {row.items_per_second:.0f} "
            f"| {row.p50_ms:.1f} | {row.p95_ms:.1f} | {row.p99_ms:.1f} "
            f"| {row.health_p99_ms:.1f} | {row.errors} "
            f"| {row.deviation:.1e}{'' if row.right else ' WRONG'} "
            f"| {f'{ratio:.2f}x' if ratio else ''} |"
        )
    return head + "\n".join(lines)


def write(folder: Path, name: str, rounds: list[Result], about: dict[str, Any], text: str) -> None:
    """Write ``name.json`` (every round) and ``name.md`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "about": about,
        "medians": [asdict(result) for result in medians(rounds)],
        "rounds": [asdict(result) for result in rounds],
    }
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text)
