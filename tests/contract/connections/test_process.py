"""A gateway process with few file descriptors, and many who hold connections."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil

from launcher.server import free_ports
from tests.support.listener import read_all, statuses
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[3]
FEW, HARD = 128, 400


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, HARD))


def test_all_ports_stay_open_under_more_connections_than_descriptors(tmp_path: Path) -> None:
    main, text, vision, triton = free_ports(4)
    environment = {
        "PENTAD_TRITON__URL": f"127.0.0.1:{triton}",
        "PENTAD_SERVER__PORT": str(main),
        "PENTAD_SERVICES": '["text", "vision"]',
        "PENTAD_TEXT__PORT": str(text),
        "PENTAD_VISION__PORT": str(vision),
        "PENTAD_PATHS__STATE": str(tmp_path),
    }
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"],
            cwd=ROOT, env=environment, stderr=log, preexec_fn=few_descriptors,
        )  # fmt: skip
        stack.callback(process.wait, PATIENCE)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{main}/healthz"
        wait_for(lambda: answered(url))
        assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE) == (HARD, HARD)
        for port in (main, text, vision):
            for sent in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n") * (HARD // 2):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                try:
                    sock.sendall(sent)
                except ConnectionError:
                    continue
        for port, path in ((main, "/healthz"), (text, "/health"), (vision, "/healthz")):
            wait_for(lambda port=port, path=path: answered(f"http://127.0.0.1:{port}{path}"))  # type: ignore[misc]
        assert psutil.Process(process.pid).num_fds() < HARD - 50
        metrics = httpx.get(f"http://127.0.0.1:{main}/metrics", timeout=PATIENCE).text
        assert f'pentad_connections_ended_total{{port="{main}",reason="made_room"}}' in metrics
    assert process.returncode == 0
    assert "Too many open files" not in (tmp_path / "log").read_text()


def answered(url: str) -> bool:
    try:
        return httpx.get(url, timeout=PATIENCE).status_code < 599
    except httpx.HTTPError:
        return False


def test_connections_without_work_do_not_hold_up_the_end(tmp_path: Path) -> None:
    main, text, triton = free_ports(3)
    environment = {
        "PENTAD_TRITON__URL": f"127.0.0.1:{triton}",
        "PENTAD_SERVER__PORT": str(main),
        "PENTAD_SERVICES": '["text"]',
        "PENTAD_TEXT__PORT": str(text),
        "PENTAD_PATHS__STATE": str(tmp_path),
    }
    with ExitStack() as stack:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"], cwd=ROOT, env=environment
        )
        stack.callback(process.kill)
        wait_for(lambda: answered(f"http://127.0.0.1:{main}/healthz"))
        connect = ("127.0.0.1", main)
        silent = stack.enter_context(socket.create_connection(connect, PATIENCE))
        half = stack.enter_context(socket.create_connection(connect, PATIENCE))
        half.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        lingering = stack.enter_context(socket.create_connection(connect, PATIENCE))
        lingering.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n")
        assert statuses(lingering.recv(4096)) == [404]
        time.sleep(0.2)
        began = time.monotonic()
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 15  # server.drain_seconds is 20
        assert (read_all(silent), read_all(half)) == (b"", b"")
