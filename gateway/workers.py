"""Several gateway processes on the same sockets, for machines with cores to spare."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple

from gateway.sockets import adopted

WORKER_COMMAND = [sys.executable, "-m", "gateway", "serve"]
PAUSE = 0.5  # seconds between looks at the children, and before a crashed one is replaced
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Worker(NamedTuple):
    """What a worker is told on its command line.

    Attributes:
        parent: process id of the one that supervises it.
        descriptors: of the listening sockets it inherits.
    """

    parent: int
    descriptors: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Worker:
        """Read what `argument` wrote."""
        parent, _, numbers = text.partition(":")
        return cls(int(parent), tuple(int(number) for number in numbers.split(",")))

    def argument(self) -> str:
        """Return it as an argument of the command line."""
        return f"--worker={self.parent}:{','.join(map(str, self.descriptors))}"

    def adopt(self) -> list[socket.socket]:
        """Return the sockets, after asking the kernel for SIGTERM when the parent dies."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != self.parent:  # it died before the request took effect
            raise SystemExit(1)
        return adopted(self.descriptors)


def supervise(count: int, config: str | None, sockets: Sequence[socket.socket]) -> int:
    """Run ``count`` workers until a signal and return the exit code.

    All accept from the same sockets, so that what waits there while one of them is dead is
    answered by the others. A worker that crashes is replaced; one that ends by itself (the
    configuration is wrong) would end again, so all are stopped.
    """
    folder = tempfile.mkdtemp(prefix="pentad-metrics-")
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder}
    descriptors = [sock.fileno() for sock in sockets]
    command = [*WORKER_COMMAND, Worker(os.getpid(), tuple(descriptors)).argument()]
    command += ["--config", config] if config else []
    stopping = False
    warned: set[int] = set()

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=env, pass_fds=descriptors)

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for sock in sockets:  # whoever comes now is refused, not left in a queue of nobody
            sock.close()
        for child in children:
            if child.pid not in warned:  # a second signal would cut its calls off
                warned.add(child.pid)
                child.send_signal(signal.SIGTERM)

    children = [start() for _ in range(count)]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        while not stopping:
            time.sleep(PAUSE)
            for index, child in enumerate(children):
                code = child.poll()
                if stopping or code is None:
                    continue
                if code >= 0:
                    stop(signal.SIGTERM, None)
                    break
                with contextlib.suppress(OSError):  # no memory or process for it yet
                    children[index] = start()
        stop(signal.SIGTERM, None)  # also a worker that was being started when the signal came
        # A worker that was told to stop while it was starting dies of the signal itself.
        codes = [child.wait() for child in children]
        return max(0 if code == -signal.SIGTERM else abs(code) for code in codes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
