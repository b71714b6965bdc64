"""Models whose process is gone, seen from the same machine.

Triton 2.51 sometimes keeps the requests of a killed Python process instead of failing them, so that
canaries and calls wait for their deadlines. Whoever runs on Triton's machine can simply look.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress

import psutil

from gateway.settings.socket_file import SCHEME

SERVER, STUB = "tritonserver", "triton_python_backend_stub"
_INSTANCE = 8  # place on a stub's command line (seen in 2.51) of e.g. "text_embedding_0_0"
_NUMBERS = re.compile(r"_\d+_\d+$")
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class ModelProcesses:
    """The stubs of one Triton.

    Args:
        url: Triton's gRPC address, host and port or a socket file's.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition(":")
        self._local = host in _LOCAL or url.startswith(SCHEME)
        self._arguments = {f"--grpc-port={port}"}
        if url.startswith(SCHEME):
            self._arguments.add(f"--grpc-address={host}")

    def missing(self, models: Iterable[str]) -> list[str]:
        """Return which of these loaded models have no process; none where that cannot be told.

        It cannot for a Triton that runs elsewhere, in a container, or without any stub. Takes some
        milliseconds: it reads the command lines of all processes.
        """
        if not self._local:
            return []
        alive = self._alive()
        return [model for model in models if alive and model not in alive]

    def _alive(self) -> set[str]:
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or [""]
            if os.path.basename(line[0]) == SERVER and self._arguments <= set(line):
                with suppress(psutil.Error):
                    return set(filter(None, map(_model_of, process.children())))
        return set()


def _model_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error):  # it may just have ended; a zombie has no command line
        line = process.cmdline()
        if line and os.path.basename(line[0]) == STUB and len(line) > _INSTANCE:
            return _NUMBERS.sub("", line[_INSTANCE])
    return None
