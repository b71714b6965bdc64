"""One embedded tritonserver: start, wait until it answers, stop without leftovers."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from gateway.private_files import ENGINES
from gateway.settings.socket_file import socket_address, socket_file
from launcher import child, door, leftovers
from launcher.backends.pentad_backend.placement import FOLDER as VARIABLE
from launcher.errors import LauncherError
from launcher.layout import (
    CALIBRATION,
    COMPILED,
    assemble_backends,
    backends_folder,
    calibration,
    compiled_graphs,
    environment,
    find_wheel,
)
from launcher.options import ServerOptions, command_line

GRACE_SECONDS = 4.0
"""What tritonserver gets beyond its exit timeout to unload models before it is killed."""
LIVE_SECONDS = 2.0
"""How long Triton may take to say that it is there."""
_PORTS = range(16_384, 32_768)
_named: set[int] = set()


class TritonServer:
    """A tritonserver process and everything that belongs to it."""

    name = "triton"

    def __init__(
        self,
        options: ServerOptions,
        *,
        state: Path,
        output: IO[bytes] | int | None = None,
        calibrate: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a server; nothing runs yet.

        Args:
            options: What to start.
            state: Folder for run-time files; the backends are copied below it.
            output: Where the log goes: a file, `subprocess.PIPE`, or None to inherit.
            calibrate: Whether models measure their networks (`embedded.calibrate`).
            variables: Further ones of its environment.
        """
        self.options = options
        self.shm_prefix = leftovers.new_prefix()
        self._state = state
        self._output = output
        self._calibrate = calibrate
        self._variables = variables or {}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def on_free_ports(
        cls,
        repository: Path,
        *,
        profile: str = "default",
        load_models: tuple[str, ...] = (),
        state: Path | None = None,
        log: Path | None = None,
        live_timeout: float = 60.0,
        calibrate: bool = False,
        **options: object,
    ) -> Iterator[TritonServer]:
        """Return a live server at a socket file of its own, stopped when the block ends.

        Its metrics are on a free loopback port.

        Args:
            repository: Model repository.
            profile: See ServerOptions.
            load_models: See ServerOptions.
            state: Folder for run-time files; a temporary one by default.
            log: File that receives Triton's log; inherited output by default.
            live_timeout: Seconds until it must answer.
            calibrate: Whether models measure their networks.
            **options: Further fields of ServerOptions.

        Raises:
            LauncherError: It did not come up.
        """
        with contextlib.ExitStack() as stack:
            if state is None:
                state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pentad-")))
            settings = replace(
                ServerOptions(
                    repository=repository,
                    socket=socket_file(socket_address(state)),
                    metrics_port=free_ports(1)[0],
                    profile=profile,
                    load_models=load_models,
                    exit_timeout_seconds=5,
                ),
                **options,  # type: ignore[arg-type]
            )
            output = stack.enter_context(log.open("ab")) if log else None
            server = cls(settings, state=state, output=output, calibrate=calibrate)
            stack.callback(server.stop)
            server.start()
            server.wait_live(live_timeout)
            yield server

    @property
    def grpc_url(self) -> str:
        """Address of the gRPC service, as its clients write it."""
        return self.options.address

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        return f"http://{self.options.host}:{self.options.metrics_port}/metrics"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process.

        Raises:
            LauncherError: It was not started.
        """
        if self._process is None:
            raise LauncherError("tritonserver was not started")
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process exists; says nothing of the health of its models."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process and return it; a crashed one may be started again.

        Raises:
            LauncherError: The wheel or libpython is missing, or its socket file cannot be had.
        """
        wheel = find_wheel()
        leftovers.remove_stale(self._state)
        leftovers.remove(self.shm_prefix)
        if self.options.grpc_port is None and self.options.socket is not None:
            door.prepare(self.options.socket)
        backends = assemble_backends(wheel, backends_folder(self._state))
        compiled = {COMPILED: str(compiled_graphs(self._state))}
        measured = {CALIBRATION: str(calibration(self._state))} if self._calibrate else {}
        variables = {**environment(wheel), **self._variables, **compiled, **measured}
        self._process = child.spawn(
            command_line(self.options, wheel, backends, self.shm_prefix, variables),
            env={**variables, VARIABLE: str(self._empty_reports())},
            output=self._output,
            keep_modes=True,
        )
        return self._process

    def kill(self) -> None:
        """End the process at once."""
        if self.running:
            self.process.kill()

    def _empty_reports(self) -> Path:
        """Return the folder where backends report where they compute, emptied."""
        folder = (self._state / ENGINES).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        return folder

    def live(self) -> bool:
        """Whether the server answers.

        Raises:
            LauncherError: A certificate cannot be read.
        """
        # gRPC takes longer to import than Triton to be started: it is imported while that starts.
        from tritonclient.utils import InferenceServerException

        from launcher.triton_grpc import connected

        with connected(self.options) as triton, contextlib.suppress(InferenceServerException):
            return bool(triton.is_server_live(client_timeout=LIVE_SECONDS))
        return False

    def wait_live(
        self, timeout: float = 60.0, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Blocks until the server answers, or `cancelled` returns true.

        Raises:
            LauncherError: It exited or did not answer within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not self.live() and not cancelled():
            if not self.running:
                raise LauncherError(
                    f"tritonserver ended at start with status {self.process.returncode}; "
                    "its log says why"
                )
            if time.monotonic() > deadline:
                raise LauncherError(f"tritonserver did not answer within {timeout:.0f} s")
            time.sleep(0.05)

    def stop(self, timeout: float | None = None) -> None:
        """End the server and its stubs and remove their shared memory. Safe to repeat.

        Args:
            timeout: Seconds until it is killed; by default its exit timeout and some grace.
        """
        if self._process is not None:
            patience = self.options.exit_timeout_seconds + GRACE_SECONDS
            child.terminate(self._process, patience if timeout is None else min(timeout, patience))
            if self.options.grpc_port is None and self.options.socket is not None:
                door.remove(self.options.socket)
        leftovers.remove(self.shm_prefix)


def free_ports(count: int) -> list[int]:
    """TCP ports that are free on loopback right now; none is named twice by a process.

    They lie below those that Linux gives to outgoing connections, one of which could otherwise take
    a port before its server does.
    """
    ports: list[int] = []
    candidates = [port for port in _PORTS if port not in _named]
    chance = random.SystemRandom()
    while candidates and len(ports) < count:  # shuffling them all takes 30 ms for the few needed
        drawn = chance.randrange(len(candidates))
        candidates[drawn], candidates[-1] = candidates[-1], candidates[drawn]
        port = candidates.pop()
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            ports.append(port)
    if len(ports) < count:
        raise LauncherError("there are no free ports")
    _named.update(ports)
    return ports
