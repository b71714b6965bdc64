"""Logs, metrics and traces."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from gateway.settings.base import Section


class GpuSettings(Section):
    """How the GPUs are watched."""

    source: Literal["auto", "dcgm", "nvml", "triton", "stub"] = "auto"
    """Where figures come from. `triton`: Triton's own, from `triton.metrics_url`, as in containers
    that have no driver. `auto`: DCGM if its Python bindings are here, else NVML, else Triton's
    (first of all, where Triton is on another machine), else invented figures labelled `stub`,
    until one of these answers. Nothing is invented where the configuration wants a GPU."""
    interval_seconds: float = Field(2.0, ge=0.1, le=3600)
    """Time between two samples."""
    history: int = Field(120, ge=1, le=3600)
    """Samples kept per GPU."""
    dcgm_address: str | None = None
    """`host:port` of a running DCGM host engine; none: one is started inside the gateway."""
    dcgm_field_ids: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    """DCGM fields to prefer where several give one figure: 157 (momentary) over 155 (average
    power), 160 (configured) over 164 (enforced power limit). Others change nothing."""

    @field_validator("dcgm_field_ids", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        # Old environment files hold `[100, 101]` or `100,101`.
        return json.loads(f"[{value.strip().strip('[]')}]") if isinstance(value, str) else value


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
    gpu: GpuSettings = GpuSettings()
