"""Several gateway processes on the same ports, for machines with cores to spare."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import FrameType

WORKER_COMMAND = [sys.executable, "-m", "gateway", "serve", "--worker"]
PAUSE = 0.5  # seconds between looks at the children, and before a crashed one is replaced


def supervise(count: int, config: str | None) -> int:
    """Run ``count`` workers until a signal and return the exit code.

    A worker that crashes is replaced; one that ends by itself (a port is taken, the configuration
    is wrong) would end again, so all are stopped.
    """
    folder = tempfile.mkdtemp(prefix="pentad-metrics-")
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder}
    command = [*WORKER_COMMAND, *(["--config", config] if config else [])]
    stopping = False
    told: set[int] = set()

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            if child.pid not in told:  # a second signal would cut its calls off
                told.add(child.pid)
                child.send_signal(signal.SIGTERM)

    children = [subprocess.Popen(command, env=env) for _ in range(count)]
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
                children[index] = subprocess.Popen(command, env=env)
        stop(signal.SIGTERM, None)  # also a worker that was being started when the signal came
        # A worker that was told to stop while it was starting dies of the signal itself.
        codes = [child.wait() for child in children]
        return max(0 if code == -signal.SIGTERM else abs(code) for code in codes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
