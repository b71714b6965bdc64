"""One launcher per state folder, and what a killed one left running there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path

import psutil

from launcher import leftovers
from launcher.errors import LauncherError

LOCK_FILE = Path("launcher.lock")
"""Below the state folder: the launcher and its children, one identity a line."""
PATIENCE_SECONDS = 3.0
"""What a leftover process gets to end by itself."""


class LauncherLock:
    """Held until the launcher ends, however it ends: the kernel gives it back."""

    def __init__(self, state: Path) -> None:
        """Take the lock and end what the last launcher left behind.

        Args:
            state: Folder of run-time files; it exists.

        Raises:
            LauncherError: Another launcher runs with this folder, or it cannot be locked.
        """
        path = state / LOCK_FILE
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._file, 200).decode(errors="replace").split(" ")[1:2]
            os.close(self._file)
            raise LauncherError(
                f"another launcher{f' (process {pid[0]})' if pid else ''} runs with the state "
                f"folder {state}: stop it, or give this one its own folder (paths.state) and ports"
            ) from None
        except OSError as error:
            raise LauncherError(f"{path} cannot be locked: {error.strerror}") from None
        identities = os.pread(self._file, os.fstat(self._file).st_size, 0)
        self.ended = _end(identities.decode("ascii", errors="replace").splitlines())
        """Names of the leftover processes that were ended."""
        os.ftruncate(self._file, 0)
        self.note(os.getpid())

    def note(self, pid: int) -> None:
        """Remembers a process for the next launcher."""
        with contextlib.suppress(OSError):  # a full disk is no reason not to start it
            line = leftovers.identity(pid) + "\n"
            os.pwrite(self._file, line.encode(), os.fstat(self._file).st_size)

    def release(self) -> None:
        """Give the lock back after all processes have ended."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)


def _end(identities: list[str]) -> list[str]:
    processes = []
    for identity in identities:
        pid = leftovers.pid_of(identity)
        if pid is not None and pid != os.getpid():
            with contextlib.suppress(psutil.Error):
                processes.append(psutil.Process(pid))
    names = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            names.append(process.name())
            process.send_signal(signal.SIGTERM)
            process.resume()  # a stopped one cannot end
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=PATIENCE_SECONDS)
    return names
