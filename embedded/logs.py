"""Merges the output of several processes into one stream of whole lines."""

from __future__ import annotations

import json
import re
import threading
from typing import IO

_NOISE = re.compile(r"\+--|\| |.*\.cc:\d+\] ?$")
"""Lines of Triton's ASCII tables, and the empty ones that announce them."""


class LogStream:
    """Writes lines of several sources to one stream, each with its source named.

    A line that is a JSON object stays one: it gets a first key `source`. Any other line gets a
    prefix such as `[triton]`.
    """

    def __init__(self, target: IO[str], secret: str | None = None) -> None:
        """Prepares the stream.

        Args:
            target: Where lines go.
            secret: Text that must never appear.
        """
        self._target = target
        self._secret = secret
        self._lock = threading.Lock()

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
        text = label(source, line)
        with self._lock:
            self._target.write(text + "\n")
            self._target.flush()

    def _copy(self, source: str, pipe: IO[bytes]) -> None:
        with pipe:
            for raw in pipe:
                line = raw.decode("utf-8", errors="replace").rstrip()
                if line and not _NOISE.match(line):
                    self.write(source, line)


def label(source: str, line: str) -> str:
    """The line with its source named."""
    if line.startswith("{") and line.endswith("}"):
        try:
            json.loads(line)
        except ValueError:
            pass
        else:
            rest = line[1:].lstrip()
            return f'{{"source": "{source}"' + (rest if rest == "}" else f", {rest}")
    return f"[{source}] {line}"
