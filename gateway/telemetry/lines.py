"""Writes lines to a descriptor that may be full, closed, or read by nobody.

A caller never waits and never sees an error. What the descriptor does not take at once is kept
for a thread that waits for it, up to a limit; what cannot be written at all is lost, counted, and
said in a line of its own as soon as writing works again.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

WAITING_BYTES = 4 * 2**20
"""Most bytes of lines that are kept for a reader who is slow."""
_SLOW_READER = "its reader does not keep up"
_TOGETHER = select.PIPE_BUF
_PAUSE = 0.01  # seconds between two tries of a descriptor that takes little at a time


class _Line(NamedTuple):
    data: bytes
    said: int = 0  # lost lines that the data starts with a word of
    counts: int = 1  # lines that are lost with it
    begun: bool = False  # whether a part of it is written already


class LineWriter:
    """One stream of whole lines; safe to call from several threads."""

    def __init__(
        self,
        descriptor: int,
        notice: Callable[[int, str], str],
        *,
        waiting_bytes: int = WAITING_BYTES,
    ) -> None:
        """Prepare the stream.

        Args:
            descriptor: where lines go; it stays open.
            notice: makes the line that says how many lines were lost, and why.
            waiting_bytes: see WAITING_BYTES.
        """
        self.lost = 0
        """Lines lost since the start."""
        self._descriptor = descriptor
        self._notice = notice
        self._limit = waiting_bytes
        # A terminal that poll(2) calls writable may still block within a line.
        self._terminal = os.isatty(descriptor)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self._waiting: deque[_Line] = deque()
        self._size = 0
        self._drainer: threading.Thread | None = None  # while it runs, only it writes
        self._unsaid = 0
        self._reason = ""
        self._within = False  # whether the last byte written was not the end of a line

    def write(self, text: str, lines: int = 1) -> None:
        """Write one line, or several that belong together; without the last line end.

        Args:
            text: what is written.
            lines: how many are lost with it, if it is.
        """
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            line = _Line(self._word() + data, said=self._unsaid, counts=lines)
            self._unsaid = 0
            if self._drainer is None and not self._terminal:
                self._send(line)
            else:
                self._keep(line)

    def close(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for what is kept; the descriptor stays open."""
        if drainer := self._drainer:
            drainer.join(timeout)

    def _send(self, line: _Line) -> None:
        try:
            rest = self._push(self._begin(line))
        except OSError as error:
            self._lose(line, error.strerror or "it cannot be written")
            return
        if rest:
            self._keep(line._replace(data=rest, begun=True))

    def _keep(self, line: _Line) -> None:
        if self._size + len(line.data) > self._limit and not line.begun:
            self._lose(line, _SLOW_READER)
            return
        if self._drainer is None:
            drainer = threading.Thread(target=self._drain, name="log-lines", daemon=True)
            try:
                drainer.start()  # it waits for the lock that is held here
            except RuntimeError:  # no more threads, or the interpreter is ending
                self._lose(line, "no thread can be started")
                return
            self._drainer = drainer
        self._waiting.append(line)
        self._size += len(line.data)

    def _drain(self) -> None:
        while line := self._next():
            try:
                data = self._begin(line)
                while rest := self._push(data):
                    if rest is data and self._poll.poll():
                        time.sleep(_PAUSE)  # a non-blocking descriptor takes less than it says
                    data = rest
            except OSError as error:
                with self._lock:
                    self._lose(line, error.strerror or "it cannot be written")

    def _next(self) -> _Line | None:
        """Return what the thread writes next, short lines together; None ends it."""
        with self._lock:
            if self._waiting:
                line = self._waiting.popleft()
                while self._waiting and len(line.data) + len(self._waiting[0].data) < _TOGETHER:
                    more = self._waiting.popleft()
                    line = line._replace(
                        data=line.data + more.data,
                        said=line.said + more.said,
                        counts=line.counts + more.counts,
                    )
                self._size -= len(line.data)
                return line
            if self._unsaid and self._reason == _SLOW_READER:  # who has caught up meanwhile
                line = _Line(self._word(), said=self._unsaid, counts=0)
                self._unsaid = 0
                return line
            self._drainer = None
            return None

    def _begin(self, line: _Line) -> bytes:
        """Return what is to be written of a line, after the end of one that was cut off."""
        return b"\n" + line.data if self._within and not line.begun else line.data

    def _push(self, data: bytes) -> bytes:
        """Write what can be written without waiting; return the rest.

        Raises:
            OSError: the descriptor cannot be written.
        """
        try:
            while data and self._poll.poll(0):
                # A pipe that is writable takes this much at once.
                written = os.write(self._descriptor, data[: select.PIPE_BUF])
                self._within = data[written - 1 : written] != b"\n"
                data = data[written:]
        except BlockingIOError:  # somebody made the descriptor non-blocking
            pass
        return data

    def _word(self) -> bytes:
        """Return the line about what was lost; nothing where nothing was."""
        return self._notice(self._unsaid, self._reason).encode() + b"\n" if self._unsaid else b""

    def _lose(self, line: _Line, reason: str) -> None:
        self.lost += line.counts
        self._unsaid += line.said + line.counts
        self._reason = reason
