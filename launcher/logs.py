"""Merges the output of several processes into one stream of whole lines, or into a file."""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import threading
from pathlib import Path
from typing import IO

from gateway.telemetry.lines import LineWriter

LARGEST = 16 * 2**20
"""Bytes of one file; three older ones are kept."""
KEPT = 3
_LEVELS = frozenset(("WARNING", "ERROR", "CRITICAL"))
_TRITON = re.compile(r"\S+Z ([IWEF]) \d+ ")
"""Triton's own lines: time, level, process."""
_TOLD = re.compile(r"(warning|error): |Traceback |\w*(Error|Exception)\b")
_WITHOUT_GPU = re.compile(
    r"Failed to initialize NVML|pinned_memory_manager|CudaDriverHelper|DCGM unable to start"
)
"""What Triton warns of on every machine without a GPU."""
LINE_BYTES = 64 * 1024
"""A longer line is cut into several: no process fills this one's memory."""
_NOISE = re.compile(r"\+--|\| |.*\.cc:\d+\] ?$")
"""Lines of Triton's ASCII tables, and the empty ones that announce them."""
_BACK = "\x1b[1A\r\x1b[2K"


class LogFile(logging.handlers.RotatingFileHandler):
    """Takes lines; one that cannot be written, as on a full disk, is counted and lost."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(
            path, maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8", errors="backslashreplace"
        )
        self.path = path
        self.lost = 0

    def write(self, line: str) -> None:
        """Write one line."""
        self.handle(logging.makeLogRecord({"msg": line}))

    def handleError(self, record: logging.LogRecord) -> None:
        """Count the line that could not be written."""
        self.lost += 1


def matters(line: str) -> bool:
    """Return whether somebody who waits for the start wants to read a line of a process.

    Args:
        line: a JSON object with `level`, a line of Triton's log, or plain text.
    """
    if line.startswith("{"):
        try:
            return json.loads(line).get("level") in _LEVELS
        except (ValueError, RecursionError, AttributeError):
            return False
    if _WITHOUT_GPU.search(line):
        return False
    if triton := _TRITON.match(line):
        return triton[1] in "WEF"
    return bool(_TOLD.match(line))


class LogStream:
    """Writes lines of several sources to one stream, each with its source named.

    A line that is a JSON object stays one: it gets a first key `source`. Any other line gets a
    prefix such as `[triton]`. A stream that is full, closed or not read loses lines, counts them
    and says so later; it never holds up who writes.
    """

    def __init__(
        self, descriptor: int, secret: str | None = None, file: LogFile | None = None
    ) -> None:
        """Prepare the stream.

        Args:
            descriptor: where lines go.
            secret: text that must never appear.
            file: takes all lines, where the stream is a person's terminal; then only warnings
                and errors go there, too.
        """
        self._lines = LineWriter(descriptor, _lost)
        self._secret = secret
        self._file = file
        self._over = ""  # what takes the cursor back to the line of the progress

    def follow(self, source: str, pipe: IO[bytes]) -> threading.Thread:
        """Copy `pipe` line by line in a thread of its own until it ends."""
        thread = threading.Thread(
            target=self._copy, args=(source, pipe), name=f"log-{source}", daemon=True
        )
        thread.start()
        return thread

    def write(self, source: str, line: str) -> None:
        """Write one line."""
        if self._secret:
            line = line.replace(self._secret, "***")
        if self._file is None:
            self._lines.write(label(source, line))
            return
        lost = self._file.lost
        self._file.write(label(source, line))
        if lost == 0 and self._file.lost:
            self.show(f"warning: lines of {self._file.path} are lost: it cannot be written")
        if matters(line):
            self._over = ""
            self._lines.write(_words(source, line))

    def show(self, text: str) -> None:
        """Write text as it is."""
        self._over = ""
        self._lines.write(text.rstrip("\n"))

    def progress(self, text: str) -> None:
        """Show how far something is on a terminal, in the place of what was shown last."""
        if self._file is not None:
            self._lines.write(self._over + text)
            self._over = _BACK

    def close(self, timeout: float) -> None:
        """Give a slow reader `timeout` seconds to take what waits for it."""
        self._lines.close(timeout)
        if self._file is not None:
            self._file.close()

    def _copy(self, source: str, pipe: IO[bytes]) -> None:
        with pipe:
            while raw := pipe.readline(LINE_BYTES):
                line = raw.decode("utf-8", errors="replace").rstrip()
                if line and not _NOISE.match(line):
                    self.write(source, line)


def label(source: str, line: str) -> str:
    """Return the line with its source named."""
    if line.startswith("{") and line.endswith("}"):
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            pass
        else:
            rest = line[1:].lstrip()
            return f'{{"source": "{source}"' + (rest if rest == "}" else f", {rest}")
    return f"[{source}] {line}"


def _words(source: str, line: str) -> str:
    """Return a line as a person reads it: of a JSON object the level and the message."""
    if not line.startswith("{"):
        return f"[{source}] {line}"
    record = json.loads(line)
    level, message = record.get("level", ""), record.get("message", "")
    known = ("source", "time", "level", "logger", "message", "request_id")
    rest = " ".join(f"{key}={value}" for key, value in record.items() if key not in known)
    return f"[{source}] {level} {message} {rest}".rstrip()


def _lost(lines: int, reason: str) -> str:
    return label("supervisor", f"{lines} lines of this log were lost: {reason}")
