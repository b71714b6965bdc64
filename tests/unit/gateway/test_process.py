"""The gateway as a process, without a Triton: ports, workers, signals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from gateway.settings import load_settings
from launcher.processes import GatewayProcess
from launcher.server import free_ports
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


def request(port: int) -> socket.socket:
    """Connects and asks; the answer may come later."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return sock


def status(sock: socket.socket) -> str:
    with sock, sock.makefile("rb") as answer:
        return answer.readline().decode().split(" ")[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_while_it_is_started_again_connections_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    main, text, triton = free_ports(3)
    for name, value in {
        "TRITON__URL": f"127.0.0.1:{triton}",
        "SERVER__PORT": main,
        "SERVER__WORKERS": workers,
        "SERVICES": '["text"]',
        "TEXT__PORT": text,
        "PATHS__STATE": tmp_path,
    }.items():
        monkeypatch.setenv(f"PENTAD_{name}", str(value))
    monkeypatch.chdir(ROOT)
    unit = GatewayProcess(load_settings(), os.environ)
    try:
        running = started(unit)
        assert status(request(main)) == "200"  # it waited for the first start
        for number in (signal.SIGKILL, signal.SIGTERM):
            family = [running, *running.children()]
            assert len(family) == (1 if workers == 1 else 1 + workers)
            running.send_signal(number)
            wait_for(lambda family=family: not any(map(alive, family)))
            waiting = [request(port) for port in (main, text) * 10]
            running = started(unit)
            assert {status(sock) for sock in waiting[::2]} == {"200"}
            assert all(status(sock).isdigit() for sock in waiting[1::2])
    finally:
        unit.stop(PATIENCE)
    for port in (main, text):  # a worker that was killed with the rest may take a moment to go
        wait_for(lambda port=port: refused(port))


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def started(unit: GatewayProcess) -> psutil.Process:
    process = unit.start()
    assert process.stdout
    process.stdout.close()  # nobody reads its log
    return psutil.Process(process.pid)


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_log_that_nobody_reads_holds_up_no_request(tmp_path: Path) -> None:
    main, text = free_ports(2)
    with gateway(tmp_path, main, text) as process:
        assert process.stderr
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        url = f"http://127.0.0.1:{main}"
        wait_alive(url)
        with httpx.Client(timeout=PATIENCE) as client:
            for _ in range(100):  # a line each, of more than 100 bytes
                assert client.get(f"{url}/no/such/route").status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_log_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    main, text = free_ports(2)
    with gateway(tmp_path, main, text) as process:
        url = f"http://127.0.0.1:{main}"
        wait_alive(url)
        assert "pentad_log_lines_lost_total 0.0" in get(url + "/metrics").text
        assert process.stderr
        process.stderr.close()
        for _ in range(5):
            assert get(f"{url}/no/such/route").status_code == 404
        wait_for(lambda: int(lost(get(url + "/metrics").text)) >= 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def lost(metrics: str) -> float:
    found = re.search(r"^pentad_log_lines_lost_total (\S+)", metrics, re.MULTILINE)
    assert found
    return float(found.group(1))


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    main, text = free_ports(2)
    with gateway(tmp_path / "file" / "state", main, text) as process:
        assert process.wait(60) == 2
        assert process.stderr
        said = process.stderr.read()
    assert said.startswith("configuration: paths.state is ")
    assert said.count("\n") == 1


def test_a_closed_output_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    base = f"{sys.executable} -m gateway --config {tmp_path / 'empty'} config"
    for redirected, statuses in (
        ("--check >&-", {0}),
        ("--check <&- >&- 2>&-", {0}),
        ("--check >/dev/full", {0, 1}),
        ("--check >/dev/full 2>/dev/full", {0, 1}),
        ("--markdown | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}", {0, 1}),
    ):
        done = subprocess.run(
            ["bash", "-c", f"{base} {redirected}"],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode in statuses, redirected
        assert done.stderr in ("", "output: No space left on device\n"), redirected


def test_an_error_that_nobody_reads_ends_the_process(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--config", tmp_path / "absent", "config"],
        cwd=ROOT, stderr=writing, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    os.close(reading)
    os.close(writing)
