"""A child process that ends with its parent."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from gateway.private_files import UMASK
from launcher.guard import KEEP_MODES, SOCKETS

GUARD = Path(__file__).with_name("guard.py")


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    output: IO[bytes] | int | None,
    keep_modes: bool = False,
    sockets: Sequence[socket.socket] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that Ctrl-C reaches only the parent.

    What it creates, shared memory included, no other user can open. The guard in front of it
    makes the kernel send SIGTERM should the calling thread die.

    Args:
        command: Program and arguments.
        env: Its whole environment.
        output: Where stdout and stderr go: a file, `subprocess.PIPE`, or None to inherit.
        keep_modes: Whether it cannot open its files to others even if it tries; see the guard.
        sockets: Listening sockets to hand over as sd_listen_fds(3) says; they stay open here.

    Raises:
        OSError: There is no process or memory for it.
    """
    descriptors = [sock.fileno() for sock in sockets]
    passed = [SOCKETS + ",".join(map(str, descriptors))] if descriptors else []
    kept = [KEEP_MODES] if keep_modes else []
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *passed, *kept, *command],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=True,
        umask=UMASK,
        pass_fds=descriptors,
    )


def terminate(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Send SIGTERM, then SIGKILL after `timeout` seconds.

    Returns:
        True when the process ended by itself.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
