"""What a 13 MB enrollment costs the gateway, and what others notice of it.

    python -m load_tests.large_body [--rounds 3] [--requests 20]

Starts Pentad on free ports with the IoT service. One client sends five pictures of 2 MB each, again
and again; the processor time of the gateway's process per request is measured (parsing, base64,
forwarding by gRPC, the answer), and every 50 ms another client asks /iot/health. Exits with 1 where
a limit is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import uvloop

from load_tests import faces, portraits, servers
from load_tests.client import Connection, build_request
from load_tests.measure import http_load, percentile

PICTURE_BYTES = 2_000_000
LIMITS = {"gateway_cpu_ms": 25.0, "others_p99_ms": 100.0}


def heavy(jpeg: bytes) -> bytes:
    """Return the same picture in a file of PICTURE_BYTES: bytes after a JPEG's end are ignored."""
    rest = np.random.default_rng(0).integers(0, 255, PICTURE_BYTES - len(jpeg), np.uint8)
    return jpeg + rest.tobytes()


def gateway(main_port: int) -> psutil.Process:
    """Return the process that listens on the gateway's main port.

    Raises:
        LookupError: nobody does.
    """
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.pid
        if listens and connection.laddr.port == main_port:
            return psutil.Process(connection.pid)
    raise LookupError(f"nobody listens on {main_port}")


async def measure(server: servers.Server, requests: int, rounds: int) -> dict[str, float]:
    """Return medians over the rounds: CPU time a request, and latencies in milliseconds."""
    assert server.ready_port
    process = gateway(server.ready_port)
    address, call = server.address, faces.OLD.calls["enroll"]
    five = [heavy(picture) for picture in portraits.enrollments(1)[0]]
    payload = build_request(address, "POST", call.path, call.body(five))
    probe = build_request(address, "GET", "/iot/health")
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        connection = Connection(address)
        for _ in range(2):
            assert (await connection.request(payload)).status == 200
        idle = await _idle_cpu(process)
        before, begin = _cpu(process), asyncio.get_running_loop().time()
        for _ in range(requests):
            assert (await connection.request(payload)).status == 200
        seconds = asyncio.get_running_loop().time() - begin
        connection.close()
        cpu = _cpu(process) - before - idle * seconds
        load = await http_load(
            address, [payload], clients=2, seconds=requests / 5, warmup=1, probe=probe
        )
        measured = {
            "gateway_cpu_ms": cpu / requests * 1e3,
            "body_mb": len(payload) / 1e6,
            "enrollment_p50_ms": seconds / requests * 1e3,
            "others_p50_ms": percentile(load.probes, 0.5) * 1e3,
            "others_p99_ms": percentile(load.probes, 0.99) * 1e3,
            "errors": float(load.errors),
        }
        for key, value in measured.items():
            figures.setdefault(key, []).append(value)
    return {key: median(values) for key, values in figures.items()}


async def _idle_cpu(process: psutil.Process, seconds: float = 2.0) -> float:
    """CPU seconds that the gateway takes per second for its own housekeeping."""
    before = _cpu(process)
    await asyncio.sleep(seconds)
    return (_cpu(process) - before) / seconds


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def run(args: argparse.Namespace) -> dict[str, float]:
    """Measure on a Pentad started for it."""
    server = servers.build("pentad", "iot", Path("var/cache"))
    async with servers.running(server, args.results / "logs" / "large_body.log"):
        return await measure(server, args.requests, args.rounds)


def main() -> int:
    """Measure, write large_body.json; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20, help="measured in a round")
    parser.add_argument("--results", type=Path, default=Path("load_tests/results"))
    args = parser.parse_args()
    result = uvloop.run(run(args))
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "large_body.json").write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(f"{key:22} {value:9.2f}" for key, value in result.items()))
    broken = [key for key, limit in LIMITS.items() if result[key] > limit]
    print("\n".join(f"{key} is above {LIMITS[key]}" for key in broken), file=sys.stderr)
    return 1 if broken or result["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
