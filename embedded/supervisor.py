"""Runs Triton and the gateway together, from the first check to the last process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from embedded import readiness
from embedded.backoff import Backoff
from embedded.errors import EmbeddedError
from embedded.logs import LogStream
from embedded.open_doors import open_doors
from embedded.options import options_from
from embedded.profile import choose_profile
from embedded.selftest import REPOSITORY, check_round_trip
from embedded.server import TritonServer
from embedded.units import GatewayUnit, Keeper, TritonUnit
from gateway.settings.doors import configured_keys, doors
from gateway.settings.keys_file import KeysFileError

if TYPE_CHECKING:
    from gateway.settings import Settings

SHUTDOWN_SECONDS = 29.0
"""Everything has ended by then, within the 30 s that process managers usually grant."""
POLL_SECONDS = 0.2
WIDTH = 160
"""Columns of the table when the output is not a terminal."""
CONFIGURATION_ERROR = 2
"""Exit status of the gateway when its configuration is wrong; a restart would not help."""


class Supervisor:
    """Starts, watches and stops the processes of one installation."""

    def __init__(self, settings: Settings, *, gateway: bool = True) -> None:
        """Prepares the processes; nothing runs yet.

        Args:
            settings: The configuration.
            gateway: Whether the gateway is started beside Triton.

        Raises:
            EmbeddedError: The configured profile cannot be served here.
        """
        self._settings = settings
        self._console = Console(width=None if sys.stdout.isatty() else WIDTH)
        self._stopping = threading.Event()
        self._deadline: float | None = None
        self._reported = False
        start_triton = settings.triton.start or not gateway
        key = settings.triton.read_admin_key() or None
        self._log = LogStream(self._console.file, secret=key)
        self._server = _server(settings) if start_triton else None
        first, longest = settings.embedded.restart_backoff_seconds
        self._keepers: list[Keeper] = []
        if self._server is not None:
            self._keepers.append(
                Keeper(TritonUnit(self._server), Backoff(first, longest), self._log)
            )
        if gateway:
            self._keepers.append(
                Keeper(GatewayUnit(os.environ), Backoff(first, longest), self._log)
            )
        self._has_gateway = gateway

    def run(self) -> int:
        """Runs until a signal; returns the exit status.

        Raises:
            EmbeddedError: A process could not be started at all.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._on_signal)
        try:
            return self._run()
        finally:
            self._stop()

    def _run(self) -> int:
        for words in self._settings.moved:
            self._log.write("supervisor", words)
        for sentence in open_doors(self._settings, triton=self._server is not None):
            self._log.write("supervisor", f"warning: {sentence}")
        for keeper in self._keepers:
            if self._stopping.is_set():
                return 0
            keeper.start()
            if keeper.unit.name == "triton" and self._server is not None:
                self._server.wait_live(cancelled=self._stopping.is_set)
                if self._stopping.is_set():
                    return 0
                check_round_trip(self._server)
                self._log.write("supervisor", f"Triton answers at {self._server.grpc_url} (gRPC)")
        while not self._stopping.wait(POLL_SECONDS):
            for keeper in self._keepers:
                if self._cannot_start(keeper):
                    raise EmbeddedError(f"the {keeper.unit.name} could not start; see its log")
                keeper.tend()
            if self._has_gateway and not self._reported:
                self._report()
        return 0

    def _cannot_start(self, keeper: Keeper) -> bool:
        """Whether another try would end the same way; a crash (by a signal) is worth one."""
        status = keeper.exit_status
        if status == CONFIGURATION_ERROR:
            return True
        gave_up = status is not None and status >= 0
        return keeper.unit.name == "gateway" and gave_up and not self._reported

    def _report(self) -> None:
        server = self._settings.server
        host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104
        report = readiness.fetch(host, server.port)
        if report is not None and readiness.settled(report):
            self._reported = True
            readiness.show(report, self._console, self._doors())

    def _doors(self) -> dict[str, str]:
        try:
            return doors(self._settings, configured_keys(self._settings))
        except KeysFileError:  # it has changed since the gateway started, which will say so
            return {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set():  # the second signal: no more patience
            for keeper in self._keepers:
                keeper.unit.kill()
        else:
            self._deadline = time.monotonic() + SHUTDOWN_SECONDS
        self._stopping.set()

    def _stop(self) -> None:
        self._stopping.set()
        deadline = self._deadline or time.monotonic() + SHUTDOWN_SECONDS
        embedded = self._settings.embedded
        for keeper in reversed(self._keepers):  # the gateway drains while Triton still answers
            left = max(0.5, deadline - time.monotonic())
            reserve = embedded.exit_timeout_seconds if self._server is not None else 0
            if keeper.unit.name == "gateway":
                left = max(0.5, min(self._settings.server.drain_seconds + 2, left - reserve))
            keeper.stop(left)


def _server(settings: Settings) -> TritonServer:
    profile = choose_profile(settings.embedded.profile, settings.paths.repository)
    options = replace(options_from(settings, profile), extra_repositories=(REPOSITORY,))
    return TritonServer(options, state=settings.paths.state, output=subprocess.PIPE)
