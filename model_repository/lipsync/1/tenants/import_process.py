"""Imports tenants in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, cast

from lipsync_errors import RefusedError, UnsuitableTenantError

WORKER = Path(__file__).parents[1] / "import_worker.py"
"""A script beside model.py, so that it finds the packages as the model does."""
TIMEOUT_SECONDS = 300.0
"""Of the clock, for a machine that does other work; import_worker.py bounds the computing."""


class ImportProcesses:
    """At most `most` processes, started when needed; idle ones end by themselves."""

    def __init__(self, most: int, timeout: float = TIMEOUT_SECONDS) -> None:
        """`timeout` is how long one import may take."""
        self.most = most
        self._timeout = timeout
        self._slots = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []

    def run(self, path: Path, folder: Path, layout: str) -> None:
        """Import one tenant; see `tenants.importing.import_tenant`.

        Raises:
            RefusedError: The file is refused, or the process that read it died of it.
            UnsuitableTenantError: It is valid, but not in this layout.
        """
        task = {"path": str(path), "folder": str(folder), "layout": layout}
        with self._slots:
            answer = self._ask(json.dumps(task))
        if answer.get("code") == "tenant_unsuitable":
            raise UnsuitableTenantError(answer["reason"])
        if answer:
            raise RefusedError(answer["code"], answer["reason"])

    def close(self) -> None:
        """End the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def _ask(self, task: str) -> dict[str, str]:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is not None:
            answer = process.ask(task, self._timeout)
            if answer is not None:
                self._keep(process)
                return answer
            if process.late:
                return process.autopsy
            # It had just gone home, or something else ended it: a fresh one shows which.
        process = _Process()
        answer = process.ask(task, self._timeout)
        if answer is None:
            return process.autopsy
        self._keep(process)
        return answer

    def _keep(self, process: _Process) -> None:
        with self._lock:
            self._idle.append(process)


class _Process:
    def __init__(self) -> None:
        # In a Triton stub `sys.executable` is not the environment's interpreter.
        python = os.path.join(sys.prefix, "bin", "python3")
        self._process = subprocess.Popen(
            [python, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        # Never None: both are pipes.
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        self.late = False

    def ask(self, task: str, timeout: float) -> dict[str, str] | None:
        """Return the answer; None when the process ended without one."""
        process = self._process
        with contextlib.suppress(BrokenPipeError):
            self._input.write(task.encode() + b"\n")
            self._input.flush()
        deadline = time.monotonic() + timeout
        received = b""
        while not received.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._output], [], [], left)[0]:
                self.late = True
                break
            chunk = os.read(self._output.fileno(), 65536)
            if not chunk:
                break
            received += chunk
        if received.endswith(b"\n"):
            answer: dict[str, str] = json.loads(received)
            return answer
        self.end()
        self.late |= process.returncode == -signal.SIGPROF
        return None

    @property
    def autopsy(self) -> dict[str, str]:
        """Why there is no answer."""
        late = "importing it takes too long"
        died = f"the import ended with status {self._process.returncode}"
        return {"code": "tenant_file_invalid", "reason": late if self.late else died}

    def end(self) -> None:
        """End the process."""
        process = self._process
        if self.late:
            process.kill()
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._output.close()
