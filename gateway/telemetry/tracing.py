"""Optional OpenTelemetry traces: a span per request, continued inside Triton."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from gateway.settings.telemetry import TelemetrySettings


class Tracing:
    """Starts spans and writes the headers by which Triton continues them."""

    def __init__(self, settings: TelemetrySettings, exporter: SpanExporter | None = None) -> None:
        self._provider: TracerProvider | None = None
        if exporter is None and settings.otlp_endpoint:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(settings.otlp_endpoint.rstrip("/") + "/v1/traces")
        if exporter is not None:
            self._provider = TracerProvider(
                resource=Resource.create({"service.name": "pentad-gateway"}),
                sampler=ParentBasedTraceIdRatio(settings.trace_sample_ratio),
            )
            self._provider.add_span_processor(BatchSpanProcessor(exporter))

    @property
    def enabled(self) -> bool:
        """Whether spans go anywhere."""
        return self._provider is not None

    @contextmanager
    def request(self, name: str, headers: Mapping[str, str]) -> Iterator[trace.Span]:
        """Span of one HTTP request, a child of the caller's ``traceparent`` if it sent one."""
        if self._provider is None:
            yield trace.INVALID_SPAN
            return
        tracer = self._provider.get_tracer("pentad")
        kind = trace.SpanKind.SERVER
        with tracer.start_as_current_span(name, extract(headers), kind=kind) as span:
            yield span

    def headers(self) -> dict[str, str] | None:
        """``traceparent`` of the current span for the call to Triton, or None."""
        if self._provider is None:
            return None
        carrier: dict[str, Any] = {}
        inject(carrier)
        return carrier or None

    def shutdown(self) -> None:
        """Send what is buffered."""
        if self._provider is not None:
            self._provider.shutdown()
