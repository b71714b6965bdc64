"""The processes that the supervisor looks after."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from gateway.sockets import HELD, ListenError, listening
from launcher import child
from launcher.errors import LauncherError
from launcher.held_port import HeldPort
from launcher.logs import LogStream

if TYPE_CHECKING:
    from gateway.settings import Settings


class ManagedProcess(Protocol):
    """A process that can be started again."""

    name: str

    def start(self) -> subprocess.Popen[bytes]:
        """Start it with its output in a pipe."""

    def stop(self, timeout: float) -> None:
        """End it, politely for `timeout` seconds, and clean up."""

    def kill(self) -> None:
        """End it at once."""


class GatewayProcess:
    """`python -m gateway serve`.

    Its listening sockets are opened once, here, and handed to every process that serves them: while
    one is started again, connections wait instead of being refused. The port of gRPC, whose server
    takes no socket, is held for that time.
    """

    name = "gateway"

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        handed_over: Sequence[socket.socket] = (),
    ) -> None:
        """Nothing is opened or runs yet.

        Args:
            settings: The configuration.
            environment: The whole environment of the process.
            handed_over: Listening sockets; others are opened at the first start.
        """
        self._handed_over = handed_over
        self._settings = settings
        self._environment = environment
        self._sockets: list[socket.socket] = []
        self._held: HeldPort | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """See ManagedProcess."""
        if not self._sockets:
            self._sockets = self._listen()
            self._hold()
        held = {HELD: str(self._settings.lipsync.port)} if self._held else {}
        self._process = child.spawn(
            [sys.executable, "-m", "gateway", "serve"],
            env={**self._environment, **held},
            output=subprocess.PIPE,
            sockets=self._sockets,
        )
        return self._process

    def _listen(self) -> list[socket.socket]:
        try:
            by_service = listening(self._settings, self._handed_over)
        except ListenError as error:
            raise LauncherError(f"the gateway cannot listen on {error.strerror}") from None
        except ValueError as error:
            raise LauncherError(str(error)) from None
        return [sock for sockets in by_service.values() for sock in sockets]

    def _hold(self) -> None:
        host, port = self._settings.server.host, self._settings.lipsync.port
        if "lipsync" not in self._settings.services or not port or not _is_address(host):
            return
        held = HeldPort(host, port)
        try:
            self._held = held if held.open() else None
        except ListenError as error:
            raise LauncherError(f"the gateway cannot listen on {error.strerror}") from None

    def stop(self, timeout: float) -> None:
        """See ManagedProcess."""
        for sock in self._sockets:  # the gateway closes its own: from then on all are refused
            sock.close()
        if self._held:
            self._held.close()
        if self._process is not None:
            child.terminate(self._process, timeout)
            self.kill()

    def kill(self) -> None:
        """Kills the process and, as they share its group, its workers."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


class Backoff:
    """No pause after one crash; then one that doubles; a long healthy run starts over."""

    def __init__(self, first: float, longest: float, healthy_after: float = 60.0) -> None:
        """Set the pauses.

        Args:
            first: Pause after the second crash in a row, in seconds.
            longest: Limit of the pause, in seconds.
            healthy_after: A run of this many seconds counts as healthy.
        """
        self._first = first
        self._longest = longest
        self._healthy_after = healthy_after
        self._crashes = 0

    def pause(self, ran: float) -> float:
        """Seconds to wait after a process that ran for `ran` seconds crashed."""
        if ran >= self._healthy_after:
            self._crashes = 0
        crashes, self._crashes = self._crashes, self._crashes + 1
        if not crashes:  # its clients wait
            return 0.0
        # The exponent is bounded so that a day of crashes does not overflow a float.
        return float(min(self._longest, self._first * 2.0 ** min(crashes - 1, 32)))


class Restarter:
    """Keeps one process running: starts it again, with growing pauses, when it ends."""

    def __init__(
        self,
        process: ManagedProcess,
        backoff: Backoff,
        log: LogStream,
        started: Callable[[int], None] = lambda pid: None,
    ) -> None:
        """Nothing runs yet.

        Args:
            process: What is kept running.
            backoff: Its pauses.
            log: Where its output goes.
            started: Told the process id of every process that is started.
        """
        self.process = process
        self._backoff = backoff
        self._log = log
        self._note = started
        self._running: subprocess.Popen[bytes] | None = None
        self._pump: threading.Thread | None = None
        self._started = 0.0
        self._next_start = 0.0

    @property
    def exit_status(self) -> int | None:
        """Status with which the last process ended; None while it runs."""
        return None if self._running is None else self._running.poll()

    def start(self) -> None:
        """Start the process now.

        Raises:
            LauncherError: It cannot be started at all.
            OSError: There is no process, memory or disk for it.
        """
        self._started = time.monotonic()
        self._running = self.process.start()
        self._next_start = 0.0
        self._note(self._running.pid)
        if self._running.stdout is not None:
            self._pump = self._log.follow(self.process.name, self._running.stdout)

    def stop(self, timeout: float) -> None:
        """End the process, politely for `timeout` seconds, and write the rest of its log."""
        self.process.stop(timeout)
        if self._pump is not None:
            self._pump.join(1)

    def tend(self) -> None:
        """Notice an end, and start the process again when its pause is over; called often.

        A start that fails is tried again, too: what is missing may come back.
        """
        if not self._next_start:
            status = self.exit_status
            if status is not None:
                self._pause(f"ended with status {status}")
        if self._next_start and time.monotonic() >= self._next_start:
            try:
                self.start()
            except (LauncherError, OSError, RuntimeError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                self._pause(f"cannot be started ({reason})")

    def _pause(self, cause: str) -> None:
        now = time.monotonic()
        pause = self._backoff.pause(now - self._started)
        self._next_start = now + pause
        when = f"in {pause:.1f} s" if pause else "at once"
        self._log.write("supervisor", f"{self.process.name} {cause}; starting it again {when}")
