"""Speed of the try-on jobs: `python -m load_tests.tryon.jobs [SECTION …]`.

Sections: `gap` (idle time of the model between two jobs while callbacks take 5 s each),
`acceptance` (two pictures of 2 MB, 10 requests a second, while one job after the other runs),
`memory` (growth of the gateway while 100 such jobs wait), `soak` (200 jobs, 30 % failing
deliveries, three kills). `acceptance` runs the engine of the exported `tryon` (`python -m export
tryon`), from another model repository with `--repository DIR`; the others have a scripted model
that sleeps.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from launcher.server import TritonServer
from tests.support.callback_receiver import COMPLETE, RESULT, Receiver, always, failing
from tests.support.tiny_pictures import padded
from tests.support.tryon_gateway import tryon_form
from tests.support.tryon_processes import GatewayProcess

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/triton/tryon/jobs/scripted_tryon"
EXPORTED = Path("tryon/1/export.json")
PICTURE = 2_000_000  # bytes
RATE, SECONDS = 10, 15
LIMITS = {"gap_ms": 30.0, "acceptance_p95_ms": 60.0, "growth_mb": 50.0}


@dataclass
class Bench:
    """A gateway with its Triton and its receivers."""

    gateway: GatewayProcess
    receiver: Receiver
    runs: Path

    def lines(self) -> list[tuple[float, str, str]]:
        """Time, what and job of the scripted model's runs."""
        words = [line.split(" ") for line in self.runs.read_text().splitlines()]
        return [(float(line[0]), line[1], line[2]) for line in words]

    def drained(self, count: int, seconds: float) -> None:
        """Wait until so many jobs are delivered."""
        self.gateway.wait(
            lambda: self.gateway.get("/jobs?limit=1")["counts"].get("delivered", 0) >= count,
            seconds,
        )


@contextmanager
def bench(repository: Path | None, receiver: Receiver, **variables: str) -> Iterator[Bench]:
    """Start everything, and stop it in the end."""
    with tempfile.TemporaryDirectory(prefix="pentad-jobs-") as name:
        folder = Path(name)
        runs = folder / "runs.log"
        runs.touch()
        if repository is None:
            repository = folder / "repository"
            shutil.copytree(MODEL, repository / "tryon")
        os.environ["TRYON_RUNS"] = str(runs)
        with TritonServer.on_free_ports(repository, log=folder / "triton.log") as server:
            settings = {
                "PENTAD_TRYON__ASSET_SERVICE__CALLBACK_URL": receiver.result_url,
                "PENTAD_TRYON__LOAD_BALANCER__URL": receiver.base_url,
                "PENTAD_TRYON__JOBS__QUEUE_SIZE": "1000",
                "PENTAD_TRYON__CALLBACKS__IN_FLIGHT": "64",
                "PENTAD_TRYON__JOBS__POLL_SECONDS": "1",  # the defaults, not the tests' haste
                "PENTAD_HEALTH__CANARY_INTERVAL_SECONDS": "5",
                **variables,
            }
            gateway = GatewayProcess(folder / "state", server.grpc_url, settings)
            try:
                gateway.start()
                yield Bench(gateway, receiver, runs)
            finally:
                gateway.stop()
                receiver.stop()


def gap(repository: Path) -> dict[str, float]:
    """Time between the end of one job's inference and the start of the next one's."""
    receiver = Receiver()
    receiver.delay = 5.0
    with bench(None, receiver) as pentad:
        for number in range(30):
            pentad.gateway.submit(f"gap-{number}", "seconds=0.2")
        pentad.gateway.wait(
            lambda: len([1 for line in pentad.lines() if line[1] == "end"]) == 30, 30
        )
        lines = pentad.lines()
    gaps = [
        (second[0] - first[0]) * 1000
        for first, second in itertools.pairwise(lines)
        if (first[1], second[1]) == ("end", "begin")
    ]
    return {"gaps": len(gaps), "gap_ms": statistics.median(gaps), "gap_p95_ms": _p95(gaps)}


def acceptance(repository: Path) -> dict[str, float]:
    """Time to 202 of a job with two pictures of 2 MB, at a steady rate while the model works."""
    with bench(repository, Receiver()) as found:
        times = asyncio.run(
            _submit(found.gateway.url, RATE * SECONDS, 1 / RATE, pictures=_people())
        )
        running = found.gateway.get("/gpu/status")["busy"]
    return {
        "requests": len(times), "acceptance_p50_ms": statistics.median(times),
        "acceptance_p95_ms": _p95(times), "model_was_busy": float(running),
    }  # fmt: skip


def memory(repository: Path) -> dict[str, float]:
    """Growth of the gateway's resident memory while 100 jobs wait."""
    with bench(None, Receiver()) as found:
        assert found.gateway.process
        process = psutil.Process(found.gateway.process.pid)
        asyncio.run(_submit(found.gateway.url, 10, 0.02, first="seconds=600"))
        before = process.memory_info().rss
        asyncio.run(_submit(found.gateway.url, 100, 0.02))
        after = process.memory_info().rss
        waiting = found.gateway.get("/gpu/status")["queue_length"]
    return {"waiting": waiting, "rss_mb": after / 1e6, "growth_mb": (after - before) / 1e6}


def soak(repository: Path) -> dict[str, float]:
    """200 jobs with failing deliveries and three kills: nothing lost, nothing twice."""
    seed = random.randrange(2**32)
    dice, jobs = random.Random(seed), 200
    receiver = Receiver(behave=failing(0.3, seed))
    with bench(None, receiver) as pentad:
        kills = set(dice.sample(range(jobs), 3))
        for number in range(jobs):
            pentad.gateway.submit(f"soak-{number}", "seconds=0.05")
            if number in kills:
                time.sleep(dice.uniform(0, 0.5))
                pentad.gateway.kill()
                pentad.gateway.start()
        pentad.drained(jobs, 120)
        receiver.behave = always(200)
        events = {request.event_id for request in receiver.received if request.status == 200}
        begun = sum(line[1] == "begin" for line in pentad.lines())
    expected = {
        f"soak-{n}_{name}" for n in range(jobs) for name in ("asset_service", "load_balancer")
    }
    return {
        "seed": seed, "jobs": jobs, "lost_events": len(expected - events), "runs": begun,
        "result_requests": len(receiver.of(RESULT)), "notices": len(receiver.of(COMPLETE)),
    }  # fmt: skip


SECTIONS: dict[str, Callable[[Path], dict[str, float]]] = {
    "gap": gap, "acceptance": acceptance, "memory": memory, "soak": soak,
}  # fmt: skip


def _people() -> tuple[bytes, bytes]:
    """Return a person and a garment that the real model accepts."""
    from tests.support.tryon_pictures import garment, person, png

    return png(person(1).resize((768, 1152))), png(garment("shirts", 1).resize((512, 512)))


async def _submit(
    url: str,
    count: int,
    pause: float,
    first: str = "",
    pictures: tuple[bytes, bytes] | None = None,
) -> list[float]:
    """Send jobs at a steady rate, however long the answers take; return their milliseconds."""
    small = pictures or (b"", b"")
    person, garment = padded(PICTURE, 1, small[0]), padded(PICTURE, 2, small[1])
    tasks = []

    async def one(client: httpx.AsyncClient, body: bytes, headers: Any) -> float:
        begin = time.perf_counter()
        reply = await client.post(f"{url}/tryon", content=body, headers=headers)
        reply.raise_for_status()
        return (time.perf_counter() - begin) * 1000

    limits = httpx.Limits(max_keepalive_connections=50)
    prompt = json.dumps({"prompt": "seconds=5"})
    body, headers = _encoded("0" * 36, prompt, person, garment)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        if first:
            blocking, kind = _encoded("first", json.dumps({"prompt": first}), person, garment)
            await one(client, blocking, kind)
        begin = time.perf_counter()
        for number in range(count):
            own = body.replace(b"0" * 36, str(uuid.uuid4()).encode(), 1)
            await asyncio.sleep(max(0.0, begin + number * pause - time.perf_counter()))
            tasks.append(asyncio.ensure_future(one(client, own, headers)))
        return list(await asyncio.gather(*tasks))


def _encoded(job_id: str, config: str, person: bytes, garment: bytes) -> tuple[bytes, Any]:
    data, files = tryon_form(job_id, config=config, masked_user_image=person, garment_image=garment)
    request = httpx.Request("POST", "http://x", data=data, files=files)
    return request.read(), {"content-type": request.headers["content-type"]}


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def main() -> int:
    """Run the named sections; 1 when a limit is exceeded or something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    args = parser.parse_args()
    if "acceptance" in args.sections and not (args.repository / EXPORTED).is_file():
        parser.error(f"no {EXPORTED} in {args.repository}: python -m export tryon")
    failed = False
    for name in args.sections:
        figures = SECTIONS[name](args.repository)
        print(name, json.dumps({key: round(value, 2) for key, value in figures.items()}))
        failed |= any(figures.get(key, 0) > limit for key, limit in LIMITS.items())
        failed |= figures.get("lost_events", 0) > 0
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
