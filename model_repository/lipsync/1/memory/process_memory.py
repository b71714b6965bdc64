"""Figures of the machine and of this process, as the kernel gives them."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


def processor(proc: Path = PROC) -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in (proc / "cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def machine_memory(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Bytes that the processes here may use together: the container's limit or the machine's."""
    total = 0
    with contextlib.suppress(OSError, ValueError):
        first = (proc / "meminfo").read_text(encoding="utf-8").splitlines()[0]
        total = int(first.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        limit = int((cgroup / "memory.max").read_text(encoding="utf-8"))
        total = min(total or limit, limit)
    return total


def resident_bytes(proc: Path = PROC) -> int:
    """Bytes of this process in memory, mapped files included."""
    pages = int((proc / "self" / "statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may keep busy: its affinity, less where a container's quota is."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)
