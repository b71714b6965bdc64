"""Crashes: of tritonserver under load, of a model's process, and the orderly end."""

from __future__ import annotations

import concurrent.futures
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.stack import Stack


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Use a Pentad of our own, because it is going to be hurt."""
    running = Stack(tmp_path_factory.mktemp("recovery") / "state")
    try:
        running.start()
        yield running
    finally:
        running.kill()


def embed(stack: Stack, client: httpx.Client | None = None) -> httpx.Response:
    send = client.post if client else httpx.post
    return send(stack.text + "/embed", json={"texts": ["still there?"]}, timeout=30)


def under_load(stack: Stack, hurt: object, seconds: float) -> list[tuple[int, str | None, float]]:
    """Send requests from 8 threads while ``hurt`` runs; return status, Retry-After, duration."""
    stop = threading.Event()

    def client() -> list[tuple[int, str | None, float]]:
        seen = []
        with httpx.Client() as session:
            while not stop.is_set():
                begin = time.monotonic()
                reply = embed(stack, session)
                took = time.monotonic() - begin
                seen.append((reply.status_code, reply.headers.get("retry-after"), took))
                if reply.status_code != 200:
                    time.sleep(0.05)
        return seen

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(client) for _ in range(8)]
        time.sleep(1)
        hurt()  # type: ignore[operator]
        time.sleep(seconds)
        stack.wait_ready(60)
        time.sleep(1)
        stop.set()
        return [item for future in futures for item in future.result()]


def stubs_of(stack: Stack, model: str) -> list[psutil.Process]:
    """Return the processes that run a model's instances."""
    stubs = stack.named("triton_python_backend_stub")
    return [p for p in stubs if f"/{model}/" in " ".join(p.cmdline())]


def check(seen: list[tuple[int, str | None, float]]) -> None:
    assert {status for status, _, _ in seen} <= {200, 503}
    for status, retry, _ in seen:
        if status == 503:
            assert retry
            assert re.fullmatch(r"[1-9]\d*", retry)
    assert max(took for _, _, took in seen) < 15, "a request hung"
    assert seen[-1][0] == 200


def test_tritonserver_killed_under_load(own: Stack) -> None:
    (server,) = [p for p in own.named("bin/tritonserver") if "stub" not in p.name()]
    seen = under_load(own, server.kill, 3)
    check(seen)
    assert any(status == 503 for status, _, _ in seen)
    (successor,) = [p for p in own.named("bin/tritonserver") if "stub" not in p.name()]
    assert successor.pid != server.pid


@pytest.mark.parametrize("model", ["text_embedding", "sentence_encoder"])
def test_a_models_process_killed_under_load(own: Stack, model: str) -> None:
    victims = stubs_of(own, model)
    assert victims
    before = len(own.log)
    seen = under_load(own, lambda: [p.kill() for p in victims], 3)
    check(seen)
    # By a reload, or with the whole server where Triton itself aborts over a stub's death (it does
    # when the stub's locks are not free within a second): what counts is that others took over.
    successors = stubs_of(own, model)
    happened = [line for line in own.log[before:].splitlines() if "gateway.access" not in line]
    assert len(successors) == len(victims), "\n".join(happened)
    assert not {p.pid for p in successors} & {p.pid for p in victims}, "\n".join(happened)


def test_gateway_killed(own: Stack) -> None:
    (gateway,) = own.named("-m gateway")
    gateway.kill()
    time.sleep(0.5)
    own.wait_ready(60)
    assert embed(own).status_code == 200


def test_sigterm_finishes_what_runs_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(os.listdir("/dev/shm"))
    stack = Stack(tmp_path / "state")
    try:
        stack.start()
        mine = stack.processes()
        body = {"texts": ["long text " * 200 + str(i) for i in range(64)]}
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(httpx.post, stack.text + "/embed", json=body, timeout=60)
            time.sleep(0.3)
            took = stack.stop()
            assert running.result().status_code == 200
    finally:
        stack.kill()
    assert took < 30
    assert stack.process
    assert stack.process.returncode == 0
    _, alive = psutil.wait_procs(mine, timeout=2)
    assert not alive
    left = {name for name in set(os.listdir("/dev/shm")) - before if "pentad" in name}
    assert not left


def test_no_secret_and_no_path_in_the_log(own: Stack) -> None:
    key = (own.state / "triton" / "admin.key").read_text().strip()
    assert len(key) >= 32
    assert key not in own.log
    assert (own.state / "triton" / "admin.key").stat().st_mode & 0o077 == 0


def test_triton_refuses_control_without_the_key(own: Stack) -> None:
    http = own.environment["PENTAD_EMBEDDED__HTTP_PORT"]
    url = f"http://127.0.0.1:{http}/v2/repository/models/text_embedding/unload"
    assert httpx.post(url).status_code == 403
