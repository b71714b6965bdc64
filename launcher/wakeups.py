"""Sleep that ends when a child does, or when a signal comes."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from types import TracebackType

_READ_BYTES = 4096


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
