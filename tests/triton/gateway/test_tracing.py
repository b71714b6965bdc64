"""A trace begun by the caller goes through the gateway into Triton."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.stack import Stack

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does (OTLP over HTTP, protobuf)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str]] = []  # service, trace id, span name
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.headers["Content-Type"].startswith("application/json"):  # Triton's exporter
            found = list(self._from_json(json.loads(body)))
        else:
            found = list(self._from_protobuf(body))
        self.server.spans += found
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    @staticmethod
    def _from_protobuf(body: bytes) -> Iterator[tuple[str, str, str]]:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield attributes.get("service.name", ""), span.trace_id.hex(), span.name

    @staticmethod
    def _from_json(request: Any) -> Iterator[tuple[str, str, str]]:
        for resource in request["resourceSpans"]:
            attributes = {
                a["key"]: a["value"].get("stringValue", "")
                for a in resource["resource"]["attributes"]
            }
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield attributes.get("service.name", ""), span["traceId"].lower(), span["name"]

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_one_trace_from_caller_to_model(tmp_path: Path, collector: Collector) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    stack = Stack(tmp_path / "state", {"PENTAD_TELEMETRY__OTLP_ENDPOINT": endpoint})
    try:
        stack.start()
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        wanted = {("pentad-gateway", "POST"), ("pentad-triton", "text_embedding")}
        mine: set[tuple[str, str]] = set()
        for _ in range(6):  # exporters do not repeat a batch that got lost
            asked = {"texts": ["a"]}
            reply = httpx.post(stack.text + "/embed", json=asked, headers=headers, timeout=60)
            assert reply.status_code == 200
            end = time.monotonic() + 30  # both send batches, and a model's own span comes last
            while not wanted <= mine and time.monotonic() < end:
                time.sleep(0.2)
                mine = {(one, name) for one, trace, name in collector.spans if trace == TRACE}
            if wanted <= mine:
                break
        stack.stop()
    finally:
        stack.kill()
    assert wanted <= mine, [span for span in collector.spans if span[0] == "pentad-triton"]
