"""Started as a script: asks for SIGTERM when the parent dies, then becomes the given command.

Usage: guard.py [--sockets=5,6] COMMAND...; the descriptors are of listening sockets, which the
command gets as sd_listen_fds(3) says.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""linux/prctl.h; the setting survives execve."""


SOCKETS = "--sockets="
"""Before the command: the descriptors to hand over."""
FIRST = 3
"""Where handed-over descriptors begin."""


def main(command: list[str]) -> None:
    """Replaces this process by `command`."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request took effect
        sys.exit(1)
    if command[0].startswith(SOCKETS):
        hand_over([int(number) for number in command[0].removeprefix(SOCKETS).split(",")])
        command = command[1:]
    os.execvp(command[0], command)  # noqa: S606 (no shell is meant)


def hand_over(descriptors: list[int]) -> None:
    """Moves the descriptors to 3, 4, ... and says so in the environment."""
    end = FIRST + len(descriptors)
    above = [fcntl.fcntl(number, fcntl.F_DUPFD, end) for number in descriptors]
    for target, number in enumerate(above, FIRST):
        os.dup2(number, target)
    os.closerange(end, max(above) + 1)
    os.environ["LISTEN_FDS"] = str(len(descriptors))
    os.environ["LISTEN_PID"] = str(os.getpid())


if __name__ == "__main__":
    main(sys.argv[1:])
