"""The guard with real processes: an owner, its children, and somebody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

FOLDER = Path(__file__).resolve().parents[4] / "model_repository" / "vlm" / "1"
SLEEP = "import time; time.sleep(60)"
# A server that starts an owner; the owner starts a child, and that one a grandchild.
CHILD = f"""
import subprocess, sys
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=16)
print(memory.name, flush=True)
grandchild = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
print(grandchild.pid, flush=True)
{SLEEP}
"""
OWNER = f"""
import os, subprocess, sys
sys.path.insert(0, {str(FOLDER)!r})
from engine_guard import EngineGuard
guard = EngineGuard(sys.executable)
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
sys.stdin.read()
guard.close()
print("closed", flush=True)
{SLEEP}
"""
SERVER = f"""
import subprocess, sys
owner = subprocess.Popen([sys.executable, "-c", {OWNER!r}], start_new_session=True)
{SLEEP}
"""


class Family:
    """Processes below one server."""

    def __init__(self) -> None:
        self.server = psutil.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        words = [word for _ in range(3) for word in self.server.stdout.readline().split()]
        (name,) = [word for word in words if not word.isdigit()]
        self.memory = Path("/dev/shm", name)
        numbers = sorted(int(word) for word in words if word.isdigit())
        processes = [psutil.Process(number) for number in numbers]
        self.owner, *self.engine = processes
        (self.guard,) = [
            child
            for child in self.owner.children()
            if any("engine_guard" in part for part in child.cmdline())
        ]
        self.stranger = subprocess.Popen([sys.executable, "-c", SLEEP])

    def end(self) -> None:
        for process in (self.server, self.owner, *self.engine, self.guard):
            if process.is_running():
                process.kill()
        self.server.wait()
        self.server.stdin.close()
        self.server.stdout.close()
        self.stranger.kill()
        self.stranger.wait()


@pytest.fixture
def family() -> Iterator[Family]:
    found = Family()
    yield found
    found.end()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def gone(processes: list[psutil.Process]) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not any(alive(process) for process in processes):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("victim", ["owner", "server"])
def test_the_engine_ends_with(family: Family, victim: str) -> None:
    assert len(family.engine) == 2
    assert family.memory.exists()
    getattr(family, victim).kill()
    assert gone([*family.engine, family.guard])
    assert vanishes(family.memory), "shared memory is left"
    assert family.stranger.poll() is None
    if victim == "server":
        assert family.owner.is_running(), "the owner is not the guard's to kill"


def test_closing_ends_the_engine_and_leaves_the_owner(family: Family) -> None:
    while not ignores(family.guard, signal.SIGTERM):
        time.sleep(0.01)  # it is only starting
    family.guard.send_signal(signal.SIGTERM)  # supervisors signal everything at once
    time.sleep(0.2)
    assert family.guard.is_running()
    family.server.stdin.close()
    assert family.server.stdout.readline() == "closed\n"
    assert gone([*family.engine, family.guard])
    assert family.owner.is_running()


def vanishes(file: Path) -> bool:
    end = time.monotonic() + 60
    while file.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not file.exists()


def ignores(process: psutil.Process, number: int) -> bool:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigIgn")]
    return bool(int(mask, 16) >> (number - 1) & 1)
