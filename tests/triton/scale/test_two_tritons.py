"""A gateway before two tritonservers, of which one is killed under load and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tritonclient import grpc

from launcher import leftovers
from launcher.server import TritonServer
from tests.support.stack import Stack
from tests.support.waiting import until

CLIENTS = 8


@pytest.fixture
def servers(exported_models: Path, tmp_path: Path) -> Iterator[list[TritonServer]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                TritonServer.on_free_ports(exported_models, log=tmp_path / f"{place}.log")
            )
            for place in range(2)
        ]


@pytest.fixture
def stack(servers: list[TritonServer], tmp_path: Path) -> Iterator[Stack]:
    running = Stack(
        tmp_path / "state",
        {
            "PENTAD_TRITON__START": "false",
            "PENTAD_TRITON__URL": ",".join(server.grpc_url for server in servers),
            "PENTAD_TRITON__METRICS_URL": servers[0].metrics_url,
            "PENTAD_SERVICES": json.dumps(["text"]),
        },
    )
    try:
        running.start()
        yield running
    finally:
        running.kill()


def served(server: TritonServer) -> int:
    """Executions of the embedding model."""
    with grpc.InferenceServerClient(server.grpc_url) as client:
        found = client.get_inference_statistics("text_embedding")
    return int(found.model_stats[0].inference_count)


def kill(server: TritonServer) -> None:
    """End a server and its models' processes at once, as a machine that loses power does."""
    for process in (server.process, *leftovers.processes(server.shm_prefix)):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(process.pid).kill()
    server.process.wait(10)


def test_both_work_and_the_death_of_one_fails_no_request(
    servers: list[TritonServer], stack: Stack
) -> None:
    first, second = servers
    stack.stop()
    stack.start()  # a gateway that has loaded nothing itself: it found both with their models
    outcome = asyncio.run(_load(stack.text, first))
    assert outcome.failed == []
    assert second.running
    assert stack.log.count("Triton does not answer") == 1
    assert not _gets_work(stack, first)

    before = served(second)
    first.start()
    first.wait_live()
    end = time.monotonic() + 60
    while not _gets_work(stack, first):
        assert time.monotonic() < end, stack.log[-2000:]
        time.sleep(0.2)
    for _ in range(40):
        reply = httpx.post(stack.text + "/embed", json={"texts": ["again"]}, timeout=30)
        assert reply.status_code == 200
    assert served(first) > 5
    assert served(second) > before


def _gets_work(stack: Stack, server: TritonServer) -> bool:
    metrics = httpx.get(stack.main + "/metrics", timeout=10).text
    return f'pentad_triton_up{{address="{server.grpc_url}"}} 1.0' in metrics


class _Outcome:
    def __init__(self) -> None:
        self.before = self.after = 0
        self.failed: list[str] = []


async def _load(url: str, victim: TritonServer) -> _Outcome:
    """Ask for embeddings from several clients, with the victim's death in the middle."""
    outcome = _Outcome()
    dead, stop = asyncio.Event(), asyncio.Event()

    async def client(http: httpx.AsyncClient) -> None:
        while not stop.is_set():
            reply = await http.post(url + "/embed", json={"texts": ["one", "two"]})
            if reply.status_code != 200:
                outcome.failed.append(f"{reply.status_code} {reply.text}")
            elif dead.is_set():
                outcome.after += 1
            else:
                outcome.before += 1

    async with httpx.AsyncClient(timeout=60) as http:
        clients = [asyncio.create_task(client(http)) for _ in range(CLIENTS)]
        try:
            at_first = await asyncio.to_thread(served, victim)
            await until(lambda: outcome.before > 20)
            assert await asyncio.to_thread(served, victim) > at_first + 5, "it was not balanced"
            await asyncio.to_thread(kill, victim)
            dead.set()
            await until(lambda: outcome.after > 20)
        finally:
            stop.set()
            await asyncio.gather(*clients)
    return outcome
