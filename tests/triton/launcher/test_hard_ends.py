"""What must not end the launcher, and what a killed one must not keep from the next."""

from __future__ import annotations

import contextlib
import http.client
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from launcher.readiness import fetch
from tests.triton.launcher.test_supervisor import LIMIT_SECONDS, Supervised

READY = 180.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def run(command: str, **more: object) -> Supervised:
        started.append(Supervised(tmp_path, command, **more))  # type: ignore[arg-type]
        return started[-1]

    yield run
    for supervised in started:
        supervised.end()


def serves(run: Supervised) -> None:
    """Waits until the gateway answers and sees a live Triton."""

    def live() -> bool:
        report = fetch("127.0.0.1", run.main)
        return report is not None and bool(report["triton"]["live"])

    run.wait_for(live, READY)


def child(run: Supervised, name: str) -> psutil.Process:
    """Returns a child, which may be about to be started again."""
    found: list[psutil.Process] = []
    run.wait_for(lambda: (one := run.child(name)) is not None and (found.append(one) or True))
    return found[0]


def crash(run: Supervised, name: str) -> None:
    """Kills a child and waits for the next."""
    old = child(run, name)
    old.kill()
    run.wait_for(lambda: (new := run.child(name)) is not None and new.pid != old.pid)
    serves(run)


def stop(run: Supervised, number: signal.Signals = signal.SIGTERM) -> None:
    run.remember()
    run.process.send_signal(number)
    assert run.process.wait(LIMIT_SECONDS) == 0
    run.assert_nothing_left()


class Load:
    """Clients that each open a new connection for every request."""

    def __init__(self, port: int, clients: int = 8) -> None:
        self.seen: Counter[str] = Counter()
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
            try:
                connection.request("GET", "/healthz")
                self.seen[str(connection.getresponse().status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1
            finally:
                connection.close()


def test_a_restarted_gateway_refuses_nobody(start: Callable[..., Supervised]) -> None:
    clients = 8
    run = start("run")
    serves(run)
    with Load(run.main, clients) as load:
        for number in (signal.SIGKILL, signal.SIGTERM):
            before = load.seen["200"]
            run.wait_for(lambda before=before: load.seen["200"] > before + 50)
            old = child(run, "gateway")
            old.send_signal(number)
            run.wait_for(lambda old=old: child(run, "gateway").pid != old.pid)
            before = load.seen["200"]
            run.wait_for(lambda before=before: load.seen["200"] > before + 100)
    failed = load.seen.total() - load.seen["200"]
    assert load.seen["ConnectionRefusedError"] == 0
    assert failed <= 2 * clients, load.seen  # what was under way fails once
    triton = child(run, "tritonserver")
    listening = {one.laddr.port for one in triton.net_connections() if one.status == "LISTEN"}
    assert run.main not in listening
    stop(run)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", run.main))


def test_a_gateway_that_served_is_started_again_whatever_its_status(
    start: Callable[..., Supervised], tmp_path: Path
) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("[]")
    run = start("run", SECURITY__KEYS_FILE=keys)
    run.wait_for(lambda: "URLs" in run.log)
    keys.unlink()
    child(run, "gateway").kill()
    run.wait_for(lambda: "gateway ended with status 2; starting it again" in run.log)
    keys.write_text("[]")
    serves(run)
    stop(run)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_log_disk_ends_nothing(start: Callable[..., Supervised], full: Path) -> None:
    run = start("run", shell=f">{full / 'log'} 2>&1")
    serves(run)
    with (full / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 512)
    for name in ("tritonserver", "gateway"):
        crash(run, name)
    (full / "filler").unlink()

    def log() -> str:  # the disk may have ended within a character
        return (full / "log").read_text(errors="replace")

    run.wait_for(lambda: "lines of this log were lost: No space left on device" in log())
    stop(run)
    assert '"message":"gateway stopped"' in log()


def test_closed_streams_end_nothing(start: Callable[..., Supervised]) -> None:
    run = start("run", shell="<&- >&- 2>&-")
    serves(run)
    crash(run, "tritonserver")
    stop(run)


@pytest.mark.parametrize("left", [True, False])
def test_a_log_reader_who_leaves_or_stops_ends_nothing(
    start: Callable[..., Supervised], left: bool
) -> None:
    reading, writing = os.pipe()
    try:
        run = start("run", output=writing, EMBEDDED__LOG_VERBOSE=0 if left else 1)
    finally:
        os.close(writing)
    try:
        if left:
            os.close(reading)
        serves(run)
        crash(run, "tritonserver")
        stop(run, signal.SIGINT)
    finally:
        with contextlib.suppress(OSError):
            os.close(reading)


def test_a_terminal_that_is_closed_ends_it_in_order(start: Callable[..., Supervised]) -> None:
    leader, terminal = pty.openpty()
    try:
        run = start("run", output=terminal)
    finally:
        os.close(terminal)
    serves(run)
    os.close(leader)  # what is written from now on fails
    crash(run, "tritonserver")
    stop(run, signal.SIGHUP)


def test_a_hung_server_of_a_killed_launcher_makes_way(start: Callable[..., Supervised]) -> None:
    first = start("run")
    serves(first)
    first.remember()
    hung = [child(first, name) for name in ("tritonserver", "gateway")]
    for process in hung:
        process.suspend()
    first.process.kill()
    first.process.wait()
    time.sleep(0.5)
    assert all(process.is_running() for process in hung)
    same = {
        key.removeprefix("PENTAD_"): value
        for key, value in first.environment.items()
        if key.startswith("PENTAD_")
    }
    second = start("run", **same)
    second.main = first.main
    run_log = "ended what a killed launcher left running"
    second.wait_for(lambda: run_log in second.log)
    serves(second)
    _, alive = psutil.wait_procs(first.seen, timeout=60)
    assert not alive
    stop(second)
