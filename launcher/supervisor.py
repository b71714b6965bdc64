"""Runs Triton and the gateway together, from the first check to the last process."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from gateway.settings.doors import configured_keys, doors
from gateway.settings.keys import KeysFileError
from launcher import readiness
from launcher.errors import LauncherError
from launcher.gpu_state import driver_present, gpu_state
from launcher.lipsync_room import lipsync_room
from launcher.lock import LauncherLock
from launcher.logs import LogFile, LogStream
from launcher.open_doors import open_doors
from launcher.options import options_from
from launcher.processes import Backoff, GatewayProcess, ManagedProcess, Restarter
from launcher.profile import choose_profile
from launcher.selftest import REPOSITORY, check_round_trip_once
from launcher.server import TritonServer

_READ_BYTES = 4096
SHUTDOWN_SECONDS = 29.0
"""Everything has ended by then, within the 30 s that process managers usually grant."""
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 10.0
"""How long one question of the launcher may wait for a gateway that is being started."""
WIDTH = 100
"""Columns of the table."""
LOG_SECONDS = 1.0
"""How long a slow reader of the log may hold up the end."""


class Wakeups:
    """Between entry and exit every handled signal, SIGCHLD among them, ends `wait`.

    For the main thread, which alone may set signal handlers.
    """

    def __enter__(self) -> Wakeups:
        """Begins to notice."""
        self._ours, self._signals = socket.socketpair()
        for end in (self._ours, self._signals):
            end.setblocking(False)
        signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)
        # Python's own handling of a signal without a handler writes nothing.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return self

    def __exit__(self, *_: object) -> None:
        """Notices no more."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._ours.close()
        self._signals.close()

    def wait(self, seconds: float) -> None:
        """Sleeps; also not at all where a signal has come since the last call."""
        select.select([self._ours], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(_READ_BYTES)


if TYPE_CHECKING:
    from gateway.settings import Settings


class Supervisor:
    """Starts, watches and stops the processes of one installation."""

    def __init__(
        self,
        settings: Settings,
        lock: LauncherLock,
        *,
        gateway: bool = True,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """Prepare the processes; nothing runs yet.

        Args:
            settings: The configuration.
            lock: What keeps other launchers out, and remembers the processes.
            gateway: Whether the gateway is started beside Triton.
            sockets: Listening sockets of the gateway that were handed over.

        Raises:
            LauncherError: The configured profile cannot be served here.
        """
        self._settings = settings
        watched = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._file = LogFile(settings.paths.state / "log" / "pentad.log") if watched else None
        self._console = Console(width=WIDTH)
        # Not an Event: its lock is not the signal handler's to take.
        self._stopping = False
        self._deadline: float | None = None
        self._served = False
        start_triton = settings.triton.start or not gateway
        key = settings.triton.read_admin_key() or None
        self._log = LogStream(sys.stdout.fileno(), key, self._file)
        if lock.ended:
            self._log.write(
                "supervisor", f"ended what a killed launcher left running: {', '.join(lock.ended)}"
            )
        self._server = _server(settings) if start_triton else None
        processes: list[ManagedProcess] = []
        if self._server is not None:
            processes.append(self._server)
        if gateway:
            processes.append(GatewayProcess(settings, os.environ, sockets))
        pauses = settings.embedded.restart_backoff_seconds
        self._restarters = [
            Restarter(process, Backoff(*pauses), self._log, lock.note) for process in processes
        ]
        self._has_gateway = gateway

    def run(self) -> int:
        """Run until a signal; return the exit status.

        Raises:
            LauncherError: A process could not be started at all.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._on_signal)
        try:
            with Wakeups() as wakeups:
                return self._run(wakeups)
        finally:
            self._stop()

    def _run(self, wakeups: Wakeups) -> int:
        for words in self._settings.moved:
            self._log.write("supervisor", words)
        for sentence in open_doors(self._settings, triton=self._server is not None):
            self._log.write("supervisor", f"warning: {sentence}")
        if self._server is not None and driver_present():
            self._log.write("supervisor", f"GPU: {gpu_state()}")
        for restarter in self._restarters:  # the gateway reads its modules while Triton starts
            if self._stopping:
                return 0
            restarter.start()
        if self._server is not None:
            self._server.wait_live(cancelled=lambda: self._stopping)
            if self._stopping:
                return 0
            check_round_trip_once(self._server, self._settings.paths.state)
            self._log.write("supervisor", f"Triton answers at {self._server.grpc_url} (gRPC)")
        if self._has_gateway:
            threading.Thread(target=self._report, name="report", daemon=True).start()
        while not self._stopping:
            for restarter in self._restarters:
                if self._cannot_start(restarter):
                    name = restarter.process.name
                    raise LauncherError(f"the {name} could not start; see its log")
                restarter.tend()
            wakeups.wait(POLL_SECONDS)
        return 0

    def _cannot_start(self, restarter: Restarter) -> bool:
        """Whether the gateway ended by itself before it ever answered: it would end so again.

        A crash (by a signal) is worth another try, and so is everything after it has served.
        """
        if restarter.process.name != "gateway" or self._served:
            return False
        status = restarter.exit_status
        return status is not None and status >= 0

    def _report(self) -> None:
        """Wait until the gateway answers and its services have settled, then show them."""
        server = self._settings.server
        host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104
        begin = time.monotonic()
        while not self._stopping:
            report = readiness.fetch(host, server.port, PATIENCE_SECONDS)
            self._served = self._served or report is not None
            if report is not None and readiness.settled(report):
                with self._console.capture() as table:
                    readiness.show(report, self._console, self._doors())
                self._log.progress(f"models     ✔ {readiness.progress(report)}{self._took(begin)}")
                self._log.show(table.get() + self._last_line())
                return
            shown = readiness.progress(report) if report else "starting"
            self._log.progress(f"models     … {shown}{self._took(begin)}")
            time.sleep(POLL_SECONDS)

    @staticmethod
    def _took(begin: float) -> str:
        return f", {time.monotonic() - begin:.0f} s"

    def _last_line(self) -> str:
        if self._file is None:
            return ""
        server = self._settings.server
        host = "localhost" if server.host in ("0.0.0.0", "::", "127.0.0.1") else server.host  # noqa: S104
        return f"Open http://{host}:{server.port} ; Ctrl-C ends it. Log: {self._file.path}"

    def _doors(self) -> dict[str, str]:
        try:
            return doors(self._settings, configured_keys(self._settings))
        except KeysFileError:  # it has changed since the gateway started, which will say so
            return {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:  # the second signal: no more patience
            for restarter in self._restarters:
                restarter.process.kill()
        else:
            self._deadline = time.monotonic() + SHUTDOWN_SECONDS
        self._stopping = True

    def _stop(self) -> None:
        self._stopping = True
        deadline = self._deadline or time.monotonic() + SHUTDOWN_SECONDS
        embedded = self._settings.embedded
        # The gateway is first: it drains while Triton still answers.
        for restarter in reversed(self._restarters):
            patience = max(0.5, deadline - time.monotonic())
            reserve = embedded.exit_timeout_seconds if self._server is not None else 0
            if restarter.process.name == "gateway":
                drain = self._settings.server.drain_seconds + 2
                patience = max(0.5, min(drain, patience - reserve))
            restarter.stop(patience)
        self._log.close(LOG_SECONDS)


def _server(settings: Settings) -> TritonServer:
    profile = choose_profile(settings.embedded.profile, settings.paths.repository)
    options = replace(options_from(settings, profile), extra_repositories=(REPOSITORY,))
    return TritonServer(
        options,
        state=settings.paths.state,
        output=subprocess.PIPE,
        calibrate=settings.embedded.calibrate,
        variables=lipsync_room(settings),
    )
