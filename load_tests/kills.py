"""What clients see when a process dies: `python -m load_tests.kills [WHAT …]`.

Starts Pentad on free ports of this machine, or uses the one whose launcher's process id is given
with `--launcher`; asks all services at once with patient clients; kills one process after the
other; and prints what every client saw from the kill until everything was ready again, and for
SETTLE seconds more. WHAT is `tritonserver`, `stopped` (tritonserver for 8 s), `gateway`, or a model
that runs in a process of its own. Try-on's jobs wait in a queue and are not among the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from load_tests.client import Address, TransportError, fetch
from load_tests.mixed import BROKEN, OK, REFUSED, UNAVAILABLE, Mix, Seen, start
from load_tests.servers import ROOT, free_port, stop

SERVER, STUB = "tritonserver", "triton_python_backend_stub"
KILLS = ("tritonserver", "text_embedding", "image_classifier", "stopped", "gateway")
SERVICES = ("iot", "lipsync", "text", "vision")
DEADLINE = 15.0
"""Seconds that a client waits for an answer."""
START_SECONDS, RECOVERY_SECONDS = 300.0, 90.0
WARM, SETTLE = 5.0, 3.0
STOPPED_SECONDS = 8.0
LOOPBACK = ("127.0.0.1", "localhost")


class KillsError(Exception):
    """The stack cannot be used, or did not recover."""


@dataclass(frozen=True)
class Row:
    """What the clients of one service saw of one kill.

    Attributes:
        killed: what.
        service: whose clients.
        calls: that ended after the kill.
        ok: of them answered.
        unavailable: answered 503, or its gRPC counterpart with `retry-after`.
        refused: connections that were refused.
        broken: connections that ended before the answer.
        other: late ones, and other statuses.
        longest: seconds of the longest call.
        last_failure: seconds from the kill to the end of the last call that failed.
        ready: seconds from the kill until everything was ready.
    """

    killed: str
    service: str
    calls: int
    ok: int
    unavailable: int
    refused: int
    broken: int
    other: int
    longest: float
    last_failure: float | None
    ready: float


def rows(killed: str, at: float, ready: float, seen: Sequence[Seen]) -> list[Row]:
    """Return one row per service of the calls that ended after a kill at ``at``."""
    after = [call for call in seen if call.end > at]
    return [
        _row(killed, service, at, ready, [call for call in after if call.service == service])
        for service in dict.fromkeys(call.service for call in after)
    ]


def _row(killed: str, service: str, at: float, ready: float, calls: Sequence[Seen]) -> Row:
    outcomes = Counter(call.outcome for call in calls)
    failures = [call.end - at for call in calls if call.outcome != OK]
    named = sum(outcomes[name] for name in (OK, UNAVAILABLE, REFUSED, BROKEN))
    return Row(
        killed=killed,
        service=service,
        calls=len(calls),
        ok=outcomes[OK],
        unavailable=outcomes[UNAVAILABLE],
        refused=outcomes[REFUSED],
        broken=outcomes[BROKEN],
        other=len(calls) - named,
        longest=round(max(call.end - call.begin for call in calls), 1),
        last_failure=round(max(failures), 1) if failures else None,
        ready=round(ready - at, 1),
    )


def table(found: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    head = "killed|service|calls|ok|503|refused|broken|other|longest s|last failure after s|ready s"
    lines = [head, "|".join(["---"] * len(head.split("|")))]
    for row in found:
        values = ["none" if value is None else str(value) for value in asdict(row).values()]
        lines.append("|".join(values))
    return "\n".join(f"|{line}|" for line in lines)


def victims(launcher: psutil.Process, what: str) -> list[psutil.Process]:
    """Return the processes below a launcher that ``what`` names; some may just have ended."""
    processes = []
    for process in launcher.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if _is(process.cmdline(), what):
                processes.append(process)
    return processes


def _is(command: Sequence[str], what: str) -> bool:
    program = os.path.basename(command[0]) if command else ""
    if what in ("tritonserver", "stopped"):
        return program == SERVER
    if what == "gateway":
        return list(command[-3:]) == ["-m", "gateway", "serve"]
    return program == STUB and any(f"/{what}/" in part for part in command)


async def hurt(launcher: psutil.Process, what: str) -> tuple[float, set[int]]:
    """Kill, or stop for a while, what is named; returns when, and the processes' ids.

    Raises:
        KillsError: there is no such process.
    """
    processes = await asyncio.to_thread(victims, launcher, what)
    if not processes:
        raise KillsError(f"no process of {what} below process {launcher.pid}")
    at = time.monotonic()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend() if what == "stopped" else process.kill()
    if what == "stopped":
        await asyncio.sleep(STOPPED_SECONDS)
        for process in processes:
            process.resume()
    return at, {process.pid for process in processes}


async def replaced(launcher: psutil.Process, what: str, killed: set[int]) -> None:
    """Wait until the processes that were killed have successors.

    Raises:
        KillsError: not in time.
    """
    end = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < end:
        processes = await asyncio.to_thread(victims, launcher, what)
        if len({process.pid for process in processes} - killed) >= len(killed):
            return
        await asyncio.sleep(0.2)
    raise KillsError(f"no successor of {what} after {RECOVERY_SECONDS:.0f} s")


async def until_ready(main: Address, seconds: float) -> None:
    """Wait for 200 on `/readyz`.

    Raises:
        KillsError: not in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(TransportError, asyncio.TimeoutError):
            if (await asyncio.wait_for(fetch(main, "/readyz"), 20)).status == 200:
                return
        await asyncio.sleep(0.2)
    raise KillsError(f"not ready after {seconds:.0f} s")


async def measure(
    main: Address, launcher: psutil.Process, kills: Sequence[str], cache: Path
) -> list[Row]:
    """Kill one after the other under the mixed load."""
    report = json.loads((await fetch(main, "/readyz")).body)["services"]
    urls = [urlsplit(url) for service in report.values() for url in service["urls"]]
    mouths = next((url.netloc for url in urls if url.scheme == "grpc"), "")
    mix, results = Mix(DEADLINE), []
    await start(mix, main, list(report), cache, mouths)
    try:
        await asyncio.sleep(WARM)
        for what in kills:
            first = len(mix.seen)
            at, killed = await hurt(launcher, what)
            if what != "stopped":
                await replaced(launcher, what, killed)
            await until_ready(main, RECOVERY_SECONDS)
            ready = time.monotonic()
            await asyncio.sleep(SETTLE)
            results += rows(what, at, ready, mix.seen[first:])
            print(table(rows(what, at, ready, mix.seen[first:])), flush=True)
    finally:
        await mix.stop()
    return results


def environment(state: Path, services: Sequence[str], main: int) -> dict[str, str]:
    """Return the variables of a Pentad of its own on free ports."""
    own = {name: str(free_port()) for name in ("metrics", "mouths", "tryon")}
    ports = {name: str(free_port()) for name in services if name not in ("lipsync", "tryon")}
    return {
        "PENTAD_SERVICES": json.dumps(list(services)),
        "PENTAD_SERVER__PORT": str(main),
        **{f"PENTAD_{name.upper()}__PORT": port for name, port in ports.items()},
        "PENTAD_LIPSYNC__SERVER__PORT": own["mouths"],
        "PENTAD_TRYON__SERVER__PORT": own["tryon"],
        "PENTAD_EMBEDDED__METRICS_PORT": own["metrics"],
        "PENTAD_TRITON__METRICS_URL": f"http://127.0.0.1:{own['metrics']}/metrics",
        "PENTAD_PATHS__STATE": str(state),
    }


@contextlib.contextmanager
def own_stack(services: Sequence[str], **further: str) -> Iterator[tuple[Address, psutil.Process]]:
    """Start a Pentad, and stop it in the end; its log stays in `var/load_tests/kills.log`.

    Args:
        services: what it serves.
        **further: variables of its environment.

    Raises:
        KillsError: it was not ready in time.
    """
    main = free_port()
    with tempfile.TemporaryDirectory(prefix="pentad-kills-") as folder:
        own = environment(Path(folder), services, main) | further
        env = {k: v for k, v in os.environ.items() if not k.startswith("PENTAD_")} | own
        if "lipsync" in services:  # tenants for this state folder
            subprocess.run([sys.executable, "-m", "export"], cwd=ROOT, env=env, check=True)
        log = ROOT / "var" / "load_tests" / "kills.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "launcher", "run"],
                cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            address = Address("127.0.0.1", main)
            asyncio.run(until_ready(address, START_SECONDS))
            yield address, psutil.Process(process.pid)
        finally:
            stop(process)


def run(options: argparse.Namespace) -> list[Row]:
    """Measure as the command line says."""
    kills, cache = options.kills, options.cache
    if options.launcher:
        address = Address.parse(options.url)
        if address.host not in LOOPBACK:
            raise KillsError("processes are killed on this machine alone: give a loopback url")
        return asyncio.run(measure(address, psutil.Process(options.launcher), kills, cache))
    with own_stack(options.services.split(",")) as (address, launcher):
        return asyncio.run(measure(address, launcher, kills, cache))


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.kills", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("kills", nargs="*", metavar="WHAT", default=list(KILLS))
    parser.add_argument("--services", default=",".join(SERVICES))
    parser.add_argument("--launcher", type=int, help="process id of a launcher that runs")
    parser.add_argument("--url", default="http://127.0.0.1:9000", help="its main port")
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "cache")
    try:
        results = run(parser.parse_args())
    except (KillsError, psutil.NoSuchProcess, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\nall of them\n" + table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
