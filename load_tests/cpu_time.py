"""CPU time of Pentad's processes, by what each of them is: read from /proc, by psutil."""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import psutil

STUB = "triton_python_backend_stub"
SERVER, GATEWAY, OTHER = "tritonserver", "gateway", "launcher and others"
_VERSION_FILE = re.compile(r"/([^/]+)/\d+/[^/]+$")
"""A file in a model's version folder."""

Spent = dict[tuple[int, float], tuple[str, float]]
"""By process (id and time of its start): what it is, and its CPU seconds so far."""


def owner(command: Sequence[str]) -> str:
    """Return what a process is by its command line: a model's name, or one of the constants.

    Every Python model, and every network of the embedded server, has a process of its own, whose
    arguments name the model's folder.
    """
    program = os.path.basename(command[0]) if command else ""
    if program == SERVER:
        return SERVER
    if list(command[-3:]) == ["-m", "gateway", "serve"]:
        return GATEWAY
    if program == STUB:
        return next((name for part in command[1:] if (name := _model(part))), OTHER)
    return OTHER


def _model(argument: str) -> str | None:
    match = _VERSION_FILE.search(argument)
    return match[1] if match else None


def spent(launcher: psutil.Process) -> Spent:
    """Return user and system time of every process below a launcher, and of itself."""
    found: Spent = {}
    for process in (launcher, *launcher.children(recursive=True)):
        with contextlib.suppress(psutil.Error), process.oneshot():  # some just ended
            times = process.cpu_times()
            key = process.pid, process.create_time()
            found[key] = owner(process.cmdline()), times.user + times.system
    return found


def between(before: Spent, after: Spent) -> dict[str, float]:
    """Return the CPU seconds by what the processes are; one that is new counts from zero."""
    seconds: dict[str, float] = defaultdict(float)
    for key, (name, now) in after.items():
        seconds[name] += now - before.get(key, (name, 0.0))[1]
    return dict(seconds)


def each(
    seconds: Mapping[str, float], idle: Mapping[str, float], lasted: float, items: int
) -> dict[str, float]:
    """Return milliseconds an item: what was spent above the same time without a request.

    Args:
        seconds: CPU seconds while the items were made.
        idle: CPU seconds a second without requests.
        lasted: seconds in which the items were made.
        items: requests, or frames.
    """
    return {
        name: max(0.0, value - idle.get(name, 0.0) * lasted) / items * 1e3
        for name, value in seconds.items()
    }
