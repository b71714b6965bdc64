"""Compare servers under equal load, one after another on this machine.

    python -m load_tests.bench --services text,vision
    python -m load_tests.bench --services vision --peers naive,litserve,pentad
    python -m load_tests.bench --url pentad=http://127.0.0.1:8765 --scenarios embed_short

Every server gets the same requests from the same generator in the same round; rounds alternate
the order, and medians over rounds are reported. Peers of text: ``naive``, ``litserve``,
``infinity-torch``, ``infinity-optimum`` (``infinity-torch-bfloat16``), ``vllm`` (``vllm-bfloat16``;
needs `make vlm-env`), and ``inprocess``, the plain loop without a server that is
BERTScore's ceiling; of vision: ``naive``, ``litserve``,
``litserve-channels-last``; of iot: ``naive``, ``naive-2`` (in two workers). Pentad itself is
``pentad`` (``pentad-default``, ``pentad-openvino``: with that device profile).
"""

from __future__ import annotations

import argparse
import datetime
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from load_tests import inprocess, machine, report, servers
from load_tests.catalogue import DIALECTS, SCENARIOS, TASKS
from load_tests.client import Address, build_request
from load_tests.golden import golden
from load_tests.measure import Load, http_load, percentile
from load_tests.report import Result
from load_tests.scenarios import Scenario, deviation
from load_tests.servers import Server

DEFAULT_PEERS = {
    "text": "naive,litserve,infinity-torch,infinity-optimum,pentad,inprocess",
    "vision": "naive,litserve,litserve-channels-last,pentad",
    "iot": "naive,naive-2,pentad",
}


@dataclass(frozen=True)
class Plan:
    """What to run of one service."""

    service: str
    peers: list[str]
    running: dict[str, str]
    """Servers that already run: URL by name."""
    scenarios: list[Scenario]
    rounds: int
    seconds: float
    warmup: float
    cache: Path
    results: Path


def _result(server: str, scenario: Scenario, load: Load, off: float) -> Result:
    return Result(
        server=server,
        scenario=scenario.name,
        unit=scenario.unit,
        clients=scenario.clients,
        requests_per_second=load.rate,
        items_per_second=load.rate * scenario.items,
        requests=sum(load.statuses.values()),
        errors=load.errors,
        health_p99_ms=percentile(load.probes, 0.99) * 1e3,
        deviation=off,
        right=off <= TASKS[scenario.task].tolerance,
        **load.quantiles(),
    )


async def _measure(server: Server, scenario: Scenario, plan: Plan) -> Result | None:
    call = server.dialect.calls.get(scenario.task)
    if call is None:
        return None
    payloads = [
        build_request(server.address, "POST", call.path, call.body(given))
        for given in scenario.inputs()
    ]
    load = await http_load(
        server.address,
        payloads,
        clients=scenario.clients,
        seconds=plan.seconds,
        warmup=plan.warmup,
        keep=scenario.checked,
        probe=build_request(server.address, "GET", server.dialect.ready_path),
    )
    references = golden(scenario.name, plan.cache)
    # Answers kept under load, so batching across clients is checked too; the first requests may
    # all fall into a long warm-up of a slow server, then they are asked once more.
    if not load.answers:
        check = await http_load(
            server.address, payloads[:1], clients=1, seconds=0.01, warmup=0, keep=1
        )
        load.answers = check.answers
    off = max(
        (
            deviation(TASKS[scenario.task], call.values(body), references[index])
            for index, body in load.answers.items()
        ),
        default=float("inf"),
    )
    return _result(server.name, scenario, load, off)


async def _server_round(server: Server, plan: Plan) -> list[Result]:
    results = []
    async with servers.running(server, plan.results / "logs" / f"{server.name}.log"):
        for scenario in plan.scenarios:
            result = await _measure(server, scenario, plan)
            if result:
                results.append(result)
                print(
                    f"  {server.name:24} {scenario.name:20} {result.items_per_second:8.1f} "
                    f"{scenario.unit}/s  p50 {result.p50_ms:7.1f} ms  p95 {result.p95_ms:7.1f} ms"
                    f"  health p99 {result.health_p99_ms:6.1f} ms"
                    f"  errors {result.errors}  deviation {result.deviation:.1e}",
                    flush=True,
                )
    return results


def _inprocess_round(plan: Plan) -> list[Result]:
    results = []
    for scenario in plan.scenarios:
        if scenario.task == "bertscore":
            load, off = inprocess.measure(scenario.name, plan.cache, plan.seconds)
            results.append(_result("inprocess", scenario, load, off))
            print(
                f"  {'inprocess':24} {scenario.name:20} {results[-1].items_per_second:8.1f} pairs/s"
            )
    return results


async def run(plan: Plan) -> list[Result]:
    """Run all rounds and return every round's results."""
    for scenario in plan.scenarios:
        golden(scenario.name, plan.cache)
    results: list[Result] = []
    names = [*plan.running, *plan.peers]
    for turn in range(plan.rounds):
        print(f"Round {turn + 1} of {plan.rounds}", flush=True)
        # Every second round runs backwards, so that a drift of the machine favours nobody.
        for name in names if turn % 2 == 0 else reversed(names):
            if name == "inprocess":
                results += _inprocess_round(plan)
            elif name in plan.running:
                server = Server(name, DIALECTS[plan.service], Address.parse(plan.running[name]))
                results += await _server_round(server, plan)
            else:
                results += await _server_round(servers.build(name, plan.service, plan.cache), plan)
    return results


def _parse(argv: list[str] | None) -> tuple[list[Plan], str]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", default=",".join(DEFAULT_PEERS))
    parser.add_argument("--peers", default=None, help=f"comma list; default {DEFAULT_PEERS}")
    parser.add_argument(
        "--url", action="append", default=[], metavar="NAME=URL", help="runs already"
    )
    parser.add_argument("--scenarios", default=None, help="comma list; default: the services'")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15, help="measured window")
    parser.add_argument("--warmup", type=float, default=15, help="seconds before it")
    parser.add_argument("--subject", default="pentad", help="server the ratios are about")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"))
    parser.add_argument("--results", type=Path, default=Path("load_tests/results"))
    args = parser.parse_args(argv)
    services = args.services.split(",")
    names = args.scenarios.split(",") if args.scenarios else list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"unknown scenario {', '.join(sorted(unknown))}; there are {list(SCENARIOS)}")
    if unknown := set(services) - set(DEFAULT_PEERS):
        parser.error(f"unknown service {', '.join(sorted(unknown))}")
    plans = []
    for service in services:
        default = "" if args.url else DEFAULT_PEERS[service]
        peers = default if args.peers is None else args.peers
        plan = Plan(
            service=service,
            peers=[name for name in peers.split(",") if name],
            running=dict(item.split("=", 1) for item in args.url),
            scenarios=[SCENARIOS[name] for name in names if SCENARIOS[name].service == service],
            rounds=args.rounds,
            seconds=args.seconds,
            warmup=args.warmup,
            cache=args.cache,
            results=args.results,
        )
        if plan.scenarios:
            plans.append(plan)
    return plans, args.subject


def _run(plan: Plan, subject: str) -> bool:
    """Compare one service's servers; whether all answered, and rightly."""
    before = machine.processor()
    results = uvloop.run(run(plan))
    about = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": before,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "versions": machine.versions(servers.ROOT),
    }
    middle = report.medians(results)
    table = report.markdown(middle, subject)
    report.write(plan.results, f"bench-{plan.service}", results, about, table)
    print(table)
    return all(result.right and not result.errors for result in middle)


def main(argv: list[str] | None = None) -> int:
    """Run the comparisons; 1 if a server failed requests or answered wrongly."""
    plans, subject = _parse(argv)
    outcomes = [_run(plan, subject) for plan in plans]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
