"""Ends the engine's processes when the process that owns them has gone.

vLLM's engine and workers outlive a Triton stub that crashes or is killed, and keep their memory:
on a GPU the next start then finds none. The owner starts this file as a script and holds the
other end of its standard input. When that closes, for whatever reason, or Triton's server ends,
whose stubs may linger, every process is killed that has the owner's mark in its environment. Marked
are all descendants, from the first moment on.
Standard library only; Linux.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "PENTAD_ENGINE_OWNER"
"""Environment variable that holds the mark."""
TRACKER = b"multiprocessing.resource_tracker"
ROUNDS = 20
"""A process that is being started while the others are killed is found in a later round."""
PAUSE_SECONDS = 0.05


class EngineGuard:
    """Marks this process's future children and starts the guard."""

    def __init__(self, python: str) -> None:
        """`python` is the interpreter to run this file with."""
        mark = secrets.token_hex(16)
        self._process = subprocess.Popen(
            [python, "-I", "-S", __file__, mark, str(os.getppid())],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )  # started before the mark is set: the guard must not carry it
        os.environ[MARK] = mark
        # vLLM renames its processes; by default that overwrites their visible environment.
        os.environ["SPT_NOENV"] = "1"

    def close(self, timeout: float = 10) -> None:
        """End what is left of the marked processes, then the guard."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def marked(mark: str) -> list[int]:
    """Process ids of the living processes that carry `mark`, without Python's resource trackers.

    A tracker ends by itself after the processes that it serves, and removes the shared memory that
    they could not: killed with them, it would leave hundreds of megabytes in /dev/shm.
    """
    wanted = f"{MARK}={mark}".encode()
    processes = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended, or is another user's
                carries = wanted in (folder / "environ").read_bytes().split(b"\0")
                if carries and TRACKER not in (folder / "cmdline").read_bytes():
                    processes.append(int(folder.name))
    return processes


def kill(mark: str) -> None:
    """Kills every process that carries `mark`."""
    for _ in range(ROUNDS):
        pids = marked(mark)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)


def wait_for_end(server: int) -> None:
    """Return when standard input closes or the process with the id `server` ends."""
    events = select.poll()
    events.register(0, select.POLLIN)
    try:
        events.register(os.pidfd_open(server), select.POLLIN)
    except ProcessLookupError:
        return
    events.poll()


def main() -> None:
    """Run the guard: MARK SERVER_PID."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_for_end(int(sys.argv[2]))
    kill(sys.argv[1])


if __name__ == "__main__":
    main()
