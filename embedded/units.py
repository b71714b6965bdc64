"""The processes that the supervisor looks after."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from embedded import child
from embedded.backoff import Backoff
from embedded.logs import LogStream
from embedded.server import TritonServer


class Unit(Protocol):
    """A process that can be started again."""

    name: str

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it with its output in a pipe."""

    def stop(self, timeout: float) -> None:
        """Ends it, politely for `timeout` seconds, and cleans up."""

    def kill(self) -> None:
        """Ends it at once."""


class TritonUnit:
    """The embedded tritonserver."""

    name = "triton"

    def __init__(self, server: TritonServer) -> None:
        """Wraps a server whose output is a pipe."""
        self._server = server

    def start(self) -> subprocess.Popen[bytes]:
        """See Unit."""
        self._server.start()
        return self._server.process

    def stop(self, timeout: float) -> None:
        """See Unit."""
        self._server.stop(timeout)

    def kill(self) -> None:
        """See Unit."""
        if self._server.running:
            self._server.process.kill()


class GatewayUnit:
    """`python -m gateway serve`."""

    name = "gateway"

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Keeps the whole environment of the process."""
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """See Unit."""
        self._process = child.spawn(
            [sys.executable, "-m", "gateway", "serve"],
            env=self._environment,
            output=subprocess.PIPE,
        )
        return self._process

    def stop(self, timeout: float) -> None:
        """See Unit."""
        if self._process is not None:
            child.terminate(self._process, timeout)
            self.kill()

    def kill(self) -> None:
        """Kills the process and, as they share its group, its workers."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


class Keeper:
    """Keeps one unit running: starts it again, with growing pauses, when it ends."""

    def __init__(self, unit: Unit, backoff: Backoff, log: LogStream) -> None:
        """Nothing runs yet."""
        self.unit = unit
        self._backoff = backoff
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: threading.Thread | None = None
        self._started = 0.0
        self._next_start = 0.0

    @property
    def exit_status(self) -> int | None:
        """Status with which the last process ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Starts the unit now.

        Raises:
            EmbeddedError: It cannot be started at all.
        """
        self._process = self.unit.start()
        self._started = time.monotonic()
        self._next_start = 0.0
        if self._process.stdout is not None:
            self._pump = self._log.follow(self.unit.name, self._process.stdout)

    def stop(self, timeout: float) -> None:
        """Ends the unit, politely for `timeout` seconds, and writes the rest of its log."""
        self.unit.stop(timeout)
        if self._pump is not None:
            self._pump.join(1)

    def tend(self) -> None:
        """Called often: notices an end, and starts the unit again when its pause is over."""
        now = time.monotonic()
        if self._next_start:
            if now >= self._next_start:
                self.start()
            return
        status = self.exit_status
        if status is not None:
            pause = self._backoff.pause(now - self._started)
            self._next_start = now + pause
            self._log.write(
                "supervisor",
                f"{self.unit.name} ended with status {status}; starting it again in {pause:.1f} s",
            )
