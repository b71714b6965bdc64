"""The log of a start on a terminal: everything in a file, what matters on the screen as well."""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
from pathlib import Path

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
