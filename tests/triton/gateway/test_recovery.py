"""Crashes: of tritonserver under load, of a model's process, and the orderly end."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from gateway.private_files import open_to_others
from tests.support.stack import Stack
from tests.support.tiny_pictures import png
from tests.support.waiting import PATIENCE, wait_for


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Use a Pentad of our own, because it is going to be hurt."""
    # As long as a busy machine needs: how soon models are back is measured elsewhere.
    patience = {
        "PENTAD_HEALTH__RECOVERY_WAIT_SECONDS": "100",
        "PENTAD_TEXT__DEADLINE_SECONDS": "110",
        "PENTAD_VISION__DEADLINE_SECONDS": "110",
    }
    running = Stack(tmp_path_factory.mktemp("recovery") / "state", patience)
    try:
        running.start()
        yield running
    finally:
        running.kill()


def embed(stack: Stack, client: httpx.Client | None = None) -> httpx.Response:
    send = client.post if client else httpx.post
    return send(stack.text + "/embed", json={"texts": ["still there?"]}, timeout=120)


def classify(stack: Stack, client: httpx.Client) -> httpx.Response:
    return client.post(stack.vision + "/infer", files={"file": ("a.png", png())}, timeout=120)


Seen = list[tuple[int, float]]


def under_load(
    stack: Stack, hurt: Callable[[], object], recovered: Callable[[], object]
) -> tuple[Seen, int]:
    """Ask for texts and pictures from 8 threads, from before ``hurt`` until the end of it shows.

    Returns:
        Status and duration of each, and the status of one request after them all.
    """
    stop = threading.Event()
    served = threading.Event()

    def client(ask: Callable[[Stack, httpx.Client], httpx.Response]) -> Seen:
        seen: Seen = []
        with httpx.Client() as session:
            while not stop.is_set():
                begin = time.monotonic()
                reply = ask(stack, session)
                took = time.monotonic() - begin
                seen.append((reply.status_code, took))
                if reply.status_code == 200:
                    served.set()
                else:
                    time.sleep(0.05)
        return seen

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(client, ask) for ask in (embed, classify) for _ in range(4)]
        try:
            assert served.wait(PATIENCE)
            time.sleep(1)
            hurt()
            wait_for(recovered, 2 * PATIENCE)
            wait_for(lambda: stack.wait_ready() and embed(stack).status_code == 200)
        finally:
            stop.set()
        seen = [item for future in futures for item in future.result()]
    return seen, embed(stack).status_code


def servers(stack: Stack) -> list[psutil.Process]:
    """Return the tritonserver, and for moments what it is about to start."""
    found = []
    for process in stack.named("bin/tritonserver"):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "stub" not in process.name():
                found.append(process)
    return found


def stubs_of(stack: Stack, model: str) -> list[psutil.Process]:
    """Return the processes that run a model's instances."""
    stubs = stack.named("triton_python_backend_stub")
    found = []
    for process in stubs:
        with contextlib.suppress(psutil.NoSuchProcess):
            if f"/{model}/" in " ".join(process.cmdline()):
                found.append(process)
    return found


def retries(stack: Stack, cause: str) -> float:
    """Return how many inferences were asked again, of the gateway's own count."""
    found = re.findall(
        rf'^pentad_inference_retries_total{{cause="{cause}".*}} (.*)$',
        httpx.get(stack.main + "/metrics", timeout=60).text,
        re.M,
    )
    return sum(map(float, found))


def check(seen: Seen, last: int) -> None:
    assert {status for status, _ in seen} == {200}, "what was lost is asked again"
    # They wait for their model, but late canaries would free one that hangs after 30 s.
    assert max(took for _, took in seen) < 25, "a request hung"
    assert last == 200


def test_tritonserver_killed_under_load(own: Stack) -> None:
    (server,) = servers(own)

    def succeeded() -> bool:
        found = servers(own)
        return len(found) == 1 and found[0].pid != server.pid

    check(*under_load(own, server.kill, succeeded))
    assert succeeded()
    assert retries(own, "server") > 0


@pytest.mark.parametrize("model", ["text_embedding", "sentence_encoder", "image_classifier"])
def test_a_models_process_killed_under_load(own: Stack, model: str) -> None:
    victims = stubs_of(own, model)
    assert victims
    before = len(own.log)

    def taken_over() -> bool:
        successors = {p.pid for p in stubs_of(own, model)}
        return len(successors) == len(victims) and not successors & {p.pid for p in victims}

    # By a reload, or with the whole server where Triton itself aborts over a stub's death (it does
    # when the stub's locks are not free within a second): what counts is that others took over.
    check(*under_load(own, lambda: [p.kill() for p in victims], taken_over))
    happened = [line for line in own.log[before:].splitlines() if "gateway.access" not in line]
    assert taken_over(), "\n".join(happened)


def test_gateway_killed(own: Stack) -> None:
    (gateway,) = own.named("-m gateway")
    gateway.kill()
    psutil.wait_procs([gateway], timeout=PATIENCE)
    own.wait_ready()
    assert embed(own).status_code == 200


def test_sigterm_finishes_what_runs_and_leaves_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state")
    try:
        stack.start()
        mine = stack.processes()
        body = {"texts": ["long text " * 200 + str(i) for i in range(64)]}
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(httpx.post, stack.text + "/embed", json=body, timeout=120)
            status = stack.text + "/status"
            wait_for(
                lambda: running.done() or httpx.get(status, timeout=60).json()["queue"]["in_flight"]
            )
            took = stack.stop()
            assert running.result().status_code == 200
    finally:
        stack.kill()
    assert took < 30
    assert stack.process
    assert stack.process.returncode == 0
    _, alive = psutil.wait_procs(mine, timeout=PATIENCE)
    assert not alive
    own = {str(process.pid) for process in mine}  # other installations come and go meanwhile
    regions = [name for name in os.listdir("/dev/shm") if name.startswith("pentad-")]
    assert not [name for name in regions if own & set(name.split("-"))]


def test_nothing_of_a_running_stack_is_open_to_other_users(own: Stack) -> None:
    written = [path for path in own.state.rglob("*") if path.name != "stack.log"]  # the test's own
    assert len(written) > 10
    assert not [path for path in written if open_to_others(path)]
    mine = {str(process.pid) for process in own.processes()}
    regions = [path for path in Path("/dev/shm").iterdir() if mine & set(path.name.split("-"))]
    assert regions
    assert not [path for path in regions if open_to_others(path)]
    ports = set(own.ports)
    for process in own.processes():
        listening = {
            found.laddr.port
            for found in process.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN
        }
        assert listening <= ports, process.cmdline()
