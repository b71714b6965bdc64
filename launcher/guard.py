"""Started as a script: asks for SIGTERM when the parent dies, then becomes the given command.

Usage: guard.py [--sockets=5,6] COMMAND...; the descriptors are of listening sockets, which the
command gets as sd_listen_fds(3) says.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import struct
import sys

PR_SET_PDEATHSIG = 1
"""linux/prctl.h; the setting survives execve."""
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
"""The filter hides nothing from the program: the CPU need not be slowed down for it."""
SOCKETS = "--sockets="
"""Before the command: the descriptors to hand over."""
FIRST = 3
"""Where handed-over descriptors begin."""
KEEP_MODES = "--keep-modes"
"""Before the command: it gives no rights to other users, see :func:`keep_modes`."""
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBERS = {"x86_64": (0xC000003E, 91, 317), "aarch64": (0xC00000B7, 52, 277)}
"""By machine: audit architecture, and the numbers of fchmod and seccomp."""


def main(command: list[str]) -> None:
    """Replace this process by `command`."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request took effect
        sys.exit(1)
    if command[0].startswith(SOCKETS):
        hand_over([int(number) for number in command[0].removeprefix(SOCKETS).split(",")])
        command = command[1:]
    if command[0] == KEEP_MODES:
        keep_modes()
        command = command[1:]
    os.execvp(command[0], command)  # noqa: S606 (no shell is meant)


def keep_modes() -> bool:
    """Make fchmod of this process and its children do nothing where it would open a file.

    Triton's Python backend puts all tensors, pictures of people among them, into regions that Boost
    opens to every user by fchmod 0644, whatever the umask is. A chmod afterwards would come too
    late for who has opened them already.

    Returns:
        Whether the kernel does so; `make check` warns where it does not.
    """
    if platform.machine() not in _NUMBERS:
        return False
    architecture, fchmod, seccomp = _NUMBERS[platform.machine()]
    # linux/seccomp.h: the call's number is at 0 of its data, architecture at 4, second argument
    # at 24. A jump skips so many steps when the comparison holds, and when not.
    steps = (
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 5, architecture),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 0, 3, fchmod),
        (_LOAD, 0, 0, 24),
        (_ANY_BIT, 0, 1, 0o077),
        (_RETURN, 0, 0, _ERRNO),  # with error 0: it has worked
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    )
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # what an unprivileged process must give for it
    done = libc.syscall(
        seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, ctypes.byref(program)
    )
    return bool(done == 0)


def hand_over(descriptors: list[int]) -> None:
    """Move the descriptors to 3, 4, ... and say so in the environment."""
    end = FIRST + len(descriptors)
    above = [fcntl.fcntl(number, fcntl.F_DUPFD, end) for number in descriptors]
    for target, number in enumerate(above, FIRST):
        os.dup2(number, target)
    os.closerange(end, max(above) + 1)
    os.environ["LISTEN_FDS"] = str(len(descriptors))
    os.environ["LISTEN_PID"] = str(os.getpid())


if __name__ == "__main__":
    main(sys.argv[1:])
