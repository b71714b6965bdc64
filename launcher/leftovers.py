"""Shared memory and processes of one tritonserver, found by the prefix of its region names.

The Python backend names every region in /dev/shm with a prefix of our choice, and passes it on
the command lines of server and stubs. A prefix therefore identifies all that a run owns, also
when its launcher was killed and its children went to init.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from launcher.layout import backends_folder

SHM = Path("/dev/shm")  # noqa: S108 (where Linux keeps POSIX shared memory)
_PREFIX = re.compile(r"pentad-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<started>\d+)-\d+-")
_PROGRAMS = ("tritonserver", "triton_python_backend_stub")
_counter = itertools.count()


def new_prefix() -> str:
    """Return a prefix that no other run uses.

    It names the launcher, by process namespace, process id and start time, and ends in a number.
    """
    started = _started(os.getpid())
    return f"pentad-{_namespace()}-{os.getpid()}-{started}-{next(_counter)}-"


def regions(prefix: str) -> list[Path]:
    """Shared memory files of the run with this prefix."""
    return [path for path in SHM.iterdir() if path.name.startswith(prefix)]


def processes(prefix: str) -> list[psutil.Process]:
    """Server and stubs of the run with this prefix."""
    return [
        process
        for process, arguments in _ours()
        if any(prefix in argument for argument in arguments)
    ]


def remove(prefix: str) -> None:
    """Kills what still runs under this prefix, then removes its shared memory."""
    alive = processes(prefix)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    for path in regions(prefix):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.unlink()


def remove_stale(state: Path | None = None) -> list[str]:
    """Remove what runs of dead launchers left behind.

    Args:
        state: Folder of run-time files. Only processes that were started with it are killed; by
            default none is, and a run of which one is alive keeps its shared memory.

    Returns:
        The prefixes of the runs that were removed.
    """
    names = [path.name for path in SHM.iterdir()]
    names += [argument for _, arguments in _ours() for argument in arguments]
    prefixes = {match[0]: match for match in map(_PREFIX.search, names) if match}
    stale = [
        prefix
        for prefix, match in prefixes.items()
        if not _launcher_alive(match)
        and all(_started_with(state, process) for process in processes(prefix))
    ]
    for prefix in stale:
        remove(prefix)
    return stale


def identity(pid: int) -> str:
    """Return what tells a process from all others, later ones with the same number included."""
    return f"{_namespace()} {pid} {_started(pid)}"


def pid_of(identity: str) -> int | None:
    """Return the number of a process that still runs; None when it has ended, or is not ours."""
    match identity.split():
        case [namespace, pid, started] if namespace == _namespace() and pid.isdecimal():
            return int(pid) if _started(int(pid)) == started else None
    return None


def clear_regions() -> list[str]:
    """Remove the regions of killed Tritons where /dev/shm outlives their containers.

    Other process namespaces count as dead: for a container whose /dev/shm no other Triton uses.
    """
    removed = []
    for path in SHM.iterdir():
        match = _PREFIX.match(path.name)
        if match and (match["namespace"] != _namespace() or not _launcher_alive(match)):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.unlink()
                removed.append(path.name)
    return removed


def _ours() -> Iterator[tuple[psutil.Process, list[str]]]:
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or [""]
        if os.path.basename(arguments[0]) in _PROGRAMS:
            yield process, arguments


def _started_with(state: Path | None, process: psutil.Process) -> bool:
    """Whether server or stub of another run uses the backends of this state folder."""
    if state is None:
        return False
    folder = str(backends_folder(state))
    with contextlib.suppress(psutil.Error):
        mine = process.uids().real == os.getuid()
        return mine and any(folder in argument for argument in process.cmdline())
    return True  # it has ended meanwhile


def _launcher_alive(match: re.Match[str]) -> bool:
    if match["namespace"] != _namespace():  # another container that shares our /dev/shm
        return True
    return _started(int(match["pid"])) == match["started"]


def _namespace() -> str:
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _started(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None when it is gone.

    Unlike wall-clock times it does not move when the clock is set (proc(5), stat, field 22).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
