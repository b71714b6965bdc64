"""Logs, metrics and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.settings.base import Section


class TelemetrySettings(Section):
    """What operators see of the gateway."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or plain text for a terminal."""
    access_log: bool = True
    """One line per request."""
    otlp_endpoint: str | None = None
    """OpenTelemetry collector (OTLP over HTTP), e.g. `http://127.0.0.1:4318`; none: no traces."""
    trace_sample_ratio: float = Field(1.0, ge=0, le=1)
    """Share of requests traced when the caller did not decide."""
