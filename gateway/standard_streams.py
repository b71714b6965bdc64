"""Standard input, output and error as a process finds them: closed, full, or read by nobody.

Nothing that is said there is worth the process that says it.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TextIO

PATIENCE_SECONDS = 1.0
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""


def as_command(main: Callable[[], int]) -> int:
    """Run ``main`` with usable standard streams; return its exit status.

    Ctrl-C before anything runs is no error to explain. Nor is a reader of the output who left.
    ``main`` explains its own errors: one that comes here is of the output itself.
    """
    _repair()
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # so far there was nothing to tidy up
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except OSError as error:
        say(f"output: {error.strerror}")
        return 1
    finally:
        _finish()


def say(text: str) -> None:
    """Write a line to standard error if that is possible, also within PATIENCE_SECONDS."""
    with contextlib.suppress(OSError, ValueError):
        if _taken(sys.stderr):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def _taken(stream: TextIO) -> bool:
    """Whether somebody takes what is written; a full pipe would hold this process up for ever."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # not a file at all
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(PATIENCE_SECONDS * 1000))


def _repair() -> None:
    """Put /dev/null where a stream is closed: a socket or database would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor == number:
                os.set_inheritable(descriptor, True)
            else:
                os.dup2(descriptor, number)
                os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the locale lacks is no error
            stream.reconfigure(errors="backslashreplace")


def _finish() -> None:
    """Let go what cannot be written: Python would end with status 120 for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
