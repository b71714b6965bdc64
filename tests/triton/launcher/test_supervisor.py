"""`python -m launcher` as an operator uses it: signals, crashes, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.readiness import fetch
from launcher.server import free_ports

ROOT = Path(__file__).resolve().parents[3]
LIMIT_SECONDS = 30


class Supervised:
    """A supervisor on free ports with an empty model repository."""

    def __init__(
        self,
        folder: Path,
        command: str,
        *,
        shell: str = "",
        output: int | None = None,
        **more: object,
    ) -> None:
        metrics, self.main, text = free_ports(3)
        (folder / "models").mkdir(exist_ok=True)
        self.state = folder / "state"
        self.output = folder / "output"
        variables = {
            "EMBEDDED__METRICS_PORT": metrics,
            "SERVER__PORT": self.main,
            "TEXT__PORT": text,
            "SERVICES": '["text"]',
            "PATHS__STATE": self.state,
            "PATHS__REPOSITORY": folder / "models",
            **more,
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PENTAD_")}
        self.environment = clean | {f"PENTAD_{k}": str(v) for k, v in variables.items()}
        arguments = [sys.executable, "-m", "launcher", command]
        if shell:  # what a shell does to the standard streams
            arguments = ["bash", "-c", f'exec "$@" {shell}', "bash", *arguments]
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=self.environment,
                stdout=file if output is None else output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.seen: set[psutil.Process] = set()

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, condition: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log[-3000:]
            self.remember()
            time.sleep(0.05)
        self.remember()

    def remember(self) -> None:
        try:
            self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def child(self, name: str) -> psutil.Process | None:
        for process in psutil.Process(self.process.pid).children():
            try:
                if name in [os.path.basename(part) for part in process.cmdline()[:3]]:
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def assert_nothing_left(self) -> None:
        _, alive = psutil.wait_procs(self.seen, timeout=60)
        assert not alive
        regions = [name for name in os.listdir("/dev/shm") if name.startswith("pentad-")]
        assert not [name for name in regions if name.split("-")[2] == str(self.process.pid)]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for process in self.seen:
            if process.is_running():
                process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def run(command: str, **more: Any) -> Supervised:
        started.append(Supervised(tmp_path, command, **more))
        return started[-1]

    yield run
    for supervised in started:
        supervised.end()


def test_both_run_and_stop_in_order(start: Callable[..., Supervised]) -> None:
    key = "a-key-of-the-operator"
    run = start("run", TRITON__ADMIN_KEY=key)
    run.wait_for(lambda: "URLs" in run.log)
    family = [run.process.pid, *(process.pid for process in run.seen if process.is_running())]
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in family]
    assert len(lines) > 2
    assert not [line for line in lines if key in line]
    report = fetch("127.0.0.1", run.main)
    assert report is not None
    assert "text" in report["services"]
    begun = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(LIMIT_SECONDS) == 0
    assert time.monotonic() - begun < LIMIT_SECONDS
    run.assert_nothing_left()
    lines = run.log.splitlines()
    sources = [json.loads(line)["source"] for line in lines if line.startswith("{")]
    assert "gateway" in sources
    last_gateway = max(n for n, line in enumerate(lines) if '"source": "gateway"' in line)
    stopping = next(n for n, line in enumerate(lines) if line.startswith("[triton] Signal"))
    assert last_gateway < stopping
    assert key not in run.log
    assert not [line for line in lines if "can run code" in line], "nothing is open by default"


def test_crashed_processes_are_started_again(start: Callable[..., Supervised]) -> None:
    run = start("run")
    run.wait_for(lambda: "URLs" in run.log)
    for name in ("tritonserver", "gateway"):
        old = run.child(name)
        assert old is not None
        old.kill()
        run.wait_for(
            lambda old=old, name=name: (new := run.child(name)) is not None and new.pid != old.pid
        )
    run.wait_for(lambda: fetch("127.0.0.1", run.main))
    assert run.log.count("starting it again at once") == 2
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(LIMIT_SECONDS) == 0
    run.assert_nothing_left()


def test_a_second_signal_ends_at_once(start: Callable[..., Supervised]) -> None:
    run = start("triton", EMBEDDED__EXIT_TIMEOUT_SECONDS=60)
    run.wait_for(lambda: "Triton answers" in run.log)
    triton = run.child("tritonserver")
    assert triton is not None
    triton.suspend()  # it will not react to SIGTERM
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert run.process.poll() is None
    begun = time.monotonic()
    while run.process.poll() is None:  # two signals to a process that is busy may become one
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert time.monotonic() - begun < LIMIT_SECONDS / 2
    run.assert_nothing_left()


def test_a_killed_supervisor_leaves_no_process(start: Callable[..., Supervised]) -> None:
    run = start("run")
    run.wait_for(lambda: "URLs" in run.log)
    run.process.kill()
    run.process.wait()
    _, alive = psutil.wait_procs(run.seen, timeout=100)
    assert not alive


def test_a_taken_port_is_named(start: Callable[..., Supervised], tmp_path: Path) -> None:
    run = start("triton")
    run.wait_for(lambda: "Triton answers" in run.log)
    (tmp_path / "other").mkdir()
    for state, said in (
        (run.state, f"another launcher (process {run.process.pid}) runs with the state folder"),
        (tmp_path / "other", "change embedded.metrics_port"),
    ):
        second = subprocess.run(
            [sys.executable, "-m", "launcher", "run"],
            cwd=ROOT,
            env={**run.environment, "PENTAD_PATHS__STATE": str(state)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert second.returncode == 1
        assert said in second.stderr
        assert second.stderr.count("\n") == 1


def test_a_gateway_that_cannot_start_ends_the_run(start: Callable[..., Supervised]) -> None:
    run = start("run", SECURITY__KEYS_FILE="no/such/keys.yaml")
    run.wait_for(lambda: run.process.poll() is not None)
    assert run.process.returncode == 1
    assert "error: the gateway could not start" in run.log
    run.assert_nothing_left()


def test_check_reports_every_line(start: Callable[..., Supervised]) -> None:
    run = start("check")
    run.wait_for(lambda: run.process.poll() is not None)
    assert run.process.returncode == 0
    lines = run.log.splitlines()
    # Regions may be those of another Pentad on this machine, an older one.
    fine, told = lines[:9], [line for line in lines[9:] if "regions of" not in line]
    assert all(line.startswith("ok ") for line in fine)
    assert len(told) == 1, "nothing is open to others but what Triton cannot close"
    assert told[0].startswith("warning other users: ")
    assert "metrics" in told[0]
    assert any("memory: models fit" in line or "memory: not worked out" in line for line in lines)
    run.assert_nothing_left()


def test_a_wrong_configuration_is_status_two(start: Callable[..., Supervised]) -> None:
    run = start("check", NO__SUCH="1")
    assert run.process.wait(120) == 2
    assert "PENTAD_NO__SUCH" in run.log


@pytest.mark.parametrize("command", ["run", "triton"])
def test_a_state_folder_that_cannot_be_written_is_status_two(
    start: Callable[..., Supervised], tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").touch()
    run = start(command, PATHS__STATE=tmp_path / "file" / "state")
    assert run.process.wait(120) == 2
    assert run.log.startswith("configuration: paths.state is ")
    assert run.log.count("\n") == 1


def test_ctrl_c_before_anything_runs_is_no_traceback(start: Callable[..., Supervised]) -> None:
    run = start("run")
    run.wait_for(lambda: (run.state / "launcher.lock").exists())  # its checks are under way
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(LIMIT_SECONDS) in (0, 130)
    assert "Traceback" not in run.log
    run.assert_nothing_left()
