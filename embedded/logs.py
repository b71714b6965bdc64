"""Merges the output of several processes into one stream of whole lines."""

from __future__ import annotations

import json
import re
import threading
from typing import IO

from gateway.telemetry.lines import LineWriter

LINE_BYTES = 64 * 1024
"""A longer line is cut into several: no process fills this one's memory."""
_NOISE = re.compile(r"\+--|\| |.*\.cc:\d+\] ?$")
"""Lines of Triton's ASCII tables, and the empty ones that announce them."""


class LogStream:
    """Writes lines of several sources to one stream, each with its source named.

    A line that is a JSON object stays one: it gets a first key `source`. Any other line gets a
    prefix such as `[triton]`. A stream that is full, closed or not read loses lines, counts them
    and says so later; it never holds up who writes.
    """

    def __init__(self, descriptor: int, secret: str | None = None) -> None:
        """Prepares the stream.

        Args:
            descriptor: Where lines go.
            secret: Text that must never appear.
        """
        self._lines = LineWriter(descriptor, _lost)
        self._secret = secret

    def follow(self, source: str, pipe: IO[bytes]) -> threading.Thread:
        """Copies `pipe` line by line in a thread of its own until it ends."""
        thread = threading.Thread(
            target=self._copy, args=(source, pipe), name=f"log-{source}", daemon=True
        )
        thread.start()
        return thread

    def write(self, source: str, line: str) -> None:
        """Writes one line."""
        if self._secret:
            line = line.replace(self._secret, "***")
        self._lines.write(label(source, line))

    def show(self, text: str) -> None:
        """Writes text as it is."""
        self._lines.write(text.rstrip("\n"))

    def close(self, timeout: float) -> None:
        """Gives a slow reader `timeout` seconds to take what waits for it."""
        self._lines.close(timeout)

    def _copy(self, source: str, pipe: IO[bytes]) -> None:
        with pipe:
            while raw := pipe.readline(LINE_BYTES):
                line = raw.decode("utf-8", errors="replace").rstrip()
                if line and not _NOISE.match(line):
                    self.write(source, line)


def label(source: str, line: str) -> str:
    """The line with its source named."""
    if line.startswith("{") and line.endswith("}"):
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            pass
        else:
            rest = line[1:].lstrip()
            return f'{{"source": "{source}"' + (rest if rest == "}" else f", {rest}")
    return f"[{source}] {line}"


def _lost(lines: int, reason: str) -> str:
    return label("supervisor", f"{lines} lines of this log were lost: {reason}")
