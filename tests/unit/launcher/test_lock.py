"""One launcher per state folder, and what a killed one left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from launcher import leftovers
from launcher.errors import LauncherError
from launcher.lock import LOCK_FILE, LauncherLock

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def killed_launcher(state: Path, *children: int) -> None:
    """A launcher that starts nothing, notes the children and is killed."""
    code = (
        "import os, signal, sys; from pathlib import Path; from launcher.lock import LauncherLock\n"
        "lock = LauncherLock(Path(sys.argv[1]))\n"
        "for pid in sys.argv[2:]: lock.note(int(pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, state, *map(str, children)], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL


def test_the_second_is_refused_and_a_stale_lock_is_not(tmp_path: Path) -> None:
    lock = LauncherLock(tmp_path)
    with pytest.raises(LauncherError, match=rf"process {os.getpid()}\) runs with .*paths\.state"):
        LauncherLock(tmp_path)
    lock.release()
    killed_launcher(tmp_path)
    assert (tmp_path / LOCK_FILE).read_text()
    LauncherLock(tmp_path).release()


def test_children_do_not_hold_the_lock(tmp_path: Path) -> None:
    lock = LauncherLock(tmp_path)
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        lock.release()
        LauncherLock(tmp_path).release()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("stopped", [False, True])
def test_what_a_killed_launcher_left_is_ended(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], stopped: bool
) -> None:
    if stopped:
        sleeper.send_signal(signal.SIGSTOP)
    killed_launcher(tmp_path, sleeper.pid)
    lock = LauncherLock(tmp_path)
    assert lock.ended == ["sleep"]
    assert not psutil.pid_exists(sleeper.pid)  # psutil has waited for it
    lock.release()


def test_one_that_ignores_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    )
    stubborn = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert stubborn.stdout
        stubborn.stdout.readline()
        killed_launcher(tmp_path, stubborn.pid)
        LauncherLock(tmp_path).release()
        assert not psutil.pid_exists(stubborn.pid)
    finally:
        stubborn.kill()
        stubborn.wait()
        stubborn.stdout.close()  # type: ignore[union-attr]


def test_a_number_that_another_process_has_now_is_not_touched(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    namespace, pid, started = leftovers.identity(sleeper.pid).split()
    foreign = [
        f"{namespace} {pid} {int(started) - 1}",
        f"{int(namespace) + 1} {pid} {started}",
        f"{pid}",
        "",
        "a b c d",
        f"{namespace} x {started}",
        f"{namespace} 999999999 None",
    ]
    (tmp_path / LOCK_FILE).write_text("\n".join(foreign))
    lock = LauncherLock(tmp_path)
    assert lock.ended == []
    assert sleeper.poll() is None
    lock.release()


def test_a_folder_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(LauncherError, match=r"launcher\.lock cannot be locked: Is a directory"):
        LauncherLock(tmp_path)
