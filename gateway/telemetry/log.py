"""Structured logs: one JSON object a line, with the request id where there is one."""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from gateway.settings.telemetry import TelemetrySettings

request_id: ContextVar[str] = ContextVar("request_id", default="")


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if value := request_id.get():
            record.request_id = value
        return True


def configure_logging(settings: TelemetrySettings) -> None:
    """Send everything to stderr in the configured format; libraries' own handlers are removed."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestIdFilter())
    if settings.log_format == "json":
        fields = {"levelname": "level", "asctime": "time", "name": "logger"}
        layout = "%(asctime)s %(levelname)s %(name)s %(message)s"
        handler.setFormatter(JsonFormatter(layout, rename_fields=fields))
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
