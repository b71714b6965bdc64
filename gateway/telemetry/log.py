"""Structured logs: one JSON object a line, with the request id where there is one."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.settings.telemetry import TelemetrySettings
from gateway.telemetry.lines import LineWriter

TOGETHER_SECONDS = 0.01
"""How long a line may wait for others to be written with."""
request_id: ContextVar[str] = ContextVar("request_id", default="")


# What every LogRecord has; anything else on a record was passed as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One object per record: time, level, logger, message, request id, then the extras.

    Written for the access log, where a general-purpose formatter was a fifth of the gateway's
    time per request.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identifier := request_id.get():
            fields["request_id"] = identifier
        for key, value in record.__dict__.items():
            if key not in _STANDARD:
                fields[key] = value
        try:
            return orjson.dumps(fields, default=str).decode()
        except TypeError:  # a lone surrogate, or an integer beyond 64 bits
            return json.dumps(fields, default=str)


class LineHandler(logging.Handler):
    """Writes records to a descriptor without ever holding up or failing who logs.

    What is no warning is written with what an event loop logs in the next hundredth of a second:
    the access log's lines, one by one, took a tenth of the gateway's time under load, and woke
    their reader for each. A warning is written at once, after what was logged before.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._lines = LineWriter(descriptor, self._notice)
        self._together: list[str] = []

    @property
    def lost(self) -> int:
        """Lines lost since the start."""
        return self._lines.lost

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            line = self.format(record)
        except Exception as error:  # the arguments of a record may be anything
            line = self.format(_told("a record cannot be written", **where(error)))
        self._together.append(line)
        loop = asyncio._get_running_loop() if record.levelno < logging.WARNING else None
        if loop is None:
            self._write()
        elif len(self._together) == 1:
            loop.call_later(TOGETHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was logged so far."""
        with self.lock or nullcontext():  # a handler's lock; the one who emits holds it
            self._write()

    def _write(self) -> None:
        if self._together:
            self._lines.write("\n".join(self._together), len(self._together))
            self._together.clear()

    def close(self) -> None:
        """Give a slow reader a second to take what waits for it."""
        self.flush()
        self._lines.close(1)
        super().close()

    def _notice(self, lines: int, reason: str) -> str:
        return self.format(_told("log lines were lost", lines=lines, reason=reason))


def _told(message: str, **extra: Any) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, **extra})
    record.levelname, record.msg = "WARNING", message
    return record


def lost_lines() -> int:
    """Return how many lines of this process's log could not be written."""
    handlers = logging.getLogger().handlers
    return sum(handler.lost for handler in handlers if isinstance(handler, LineHandler))


class LostLinesCollector(Collector):
    """Exports how many lines of this process's log could not be written."""

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield CounterMetricFamily(
            "pentad_log_lines_lost", "Lines of the log that could not be written.", lost_lines()
        )


def configure_logging(settings: TelemetrySettings) -> None:
    """Send everything to stderr in the configured format; libraries' own handlers are removed."""
    # Nothing below is printed, so it need not be found out for every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = LineHandler(sys.stderr.fileno())
    if settings.log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "grpc", "grpc.aio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)


def where(error: BaseException) -> dict[str, Any]:
    """Describe an unexpected error without its text, which may quote a client's data."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    calls = [f"{frame.name}:{frame.lineno}" for frame in frames]
    return {"error_type": type(error).__name__, "at": " > ".join(calls)}
