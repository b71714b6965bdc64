"""The gateway as a process, without a Triton: ports, workers, signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from embedded.server import free_ports
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def gateway(state: Path, main: int, text: int, **more: str) -> Iterator[subprocess.Popen[str]]:
    (triton,) = free_ports(1)
    environment = {
        **os.environ,
        "PENTAD_TRITON__URL": f"127.0.0.1:{triton}",
        "PENTAD_SERVER__PORT": str(main),
        "PENTAD_SERVICES": '["text"]',  # the others would take their usual ports
        "PENTAD_TEXT__PORT": str(text),
        "PENTAD_PATHS__STATE": str(state),
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        assert process.stderr
        process.stderr.close()


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=PATIENCE)


def wait_alive(url: str) -> None:
    def alive() -> bool:
        try:
            return bool(get(url + "/healthz").json() == {"status": "alive"})
        except httpx.HTTPError:
            return False

    wait_for(alive)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    main, text, other = free_ports(3)
    with gateway(tmp_path / "a", main, text):
        wait_alive(f"http://127.0.0.1:{main}")
        with gateway(tmp_path / "b", main, other) as second:
            assert second.wait(60) == 1
            assert second.stderr
            assert f"127.0.0.1:{main}: Address already in use" in second.stderr.read()


def test_sigterm_ends_quickly_without_triton(tmp_path: Path) -> None:
    main, text = free_ports(2)
    with gateway(tmp_path, main, text, PENTAD_SERVER__DRAIN_SECONDS="600") as process:
        wait_alive(f"http://127.0.0.1:{main}")
        assert get(f"http://127.0.0.1:{text}/health").status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0  # there is nothing to drain


def test_workers_share_ports_and_metrics(tmp_path: Path) -> None:
    main, text = free_ports(2)
    url = f"http://127.0.0.1:{main}"
    with gateway(tmp_path, main, text, PENTAD_SERVER__WORKERS="2") as process:
        wait_alive(url)
        parent = psutil.Process(process.pid)
        wait_for(lambda: len(parent.children()) == 2)
        for _ in range(10):
            get(f"http://127.0.0.1:{text}/status")  # a new connection each

        def counted() -> int:
            found = re.search(
                r'pentad_requests_total\{[^}]*route="/status"[^}]*\} (\d+)',
                get(url + "/metrics").text,
            )
            return int(found.group(1)) if found else 0

        wait_for(lambda: counted() >= 10)  # a worker counts after it has answered
        assert counted() == 10
        victim, survivor = parent.children()
        victim.kill()
        wait_for(lambda: victim.pid not in {child.pid for child in parent.children()})
        wait_alive(url)
        children = parent.children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    _, alive = psutil.wait_procs([*children, survivor], timeout=PATIENCE)
    assert not alive


def test_wrong_configuration_ends_all_workers(tmp_path: Path) -> None:
    main, text = free_ports(2)
    more = {"PENTAD_SERVER__WORKERS": "2", "PENTAD_SECURITY__KEYS_FILE": str(tmp_path / "absent")}
    with gateway(tmp_path, main, text, **more) as process:
        assert process.wait(60) == 2
