"""The option by which tritonserver lets its clients use shared memory, where it has one.

From release 26.04 (2.68) on client shared memory is off unless the server is started with this
option; earlier ones always allow it, and end at an option that they do not know.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from gateway.settings.triton import CLIENT_MEMORY_OPTION

PROBE_SECONDS = 10.0


def client_memory(wanted: bool, server: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the argument that opens or closes client shared memory; none where there is no such.

    Args:
        wanted: Whether clients are to use it.
        server: The tritonserver executable, which is asked for its options.
        environment: Where it finds its libraries.
    """
    return (f"{CLIENT_MEMORY_OPTION}={str(wanted).lower()}",) if _knows(server, environment) else ()


def _knows(server: Path, environment: Mapping[str, str]) -> bool:
    """Whether the server names the option in its usage; a server that cannot say has none."""
    try:
        usage = subprocess.run(
            [str(server), "--help"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_SECONDS,
            check=False,  # it ends with 1 after its usage
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return CLIENT_MEMORY_OPTION.encode() in usage.stdout
