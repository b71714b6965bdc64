"""Triton's metrics port, with the figures of two GPUs, whose text can be changed."""

from __future__ import annotations

import http.server
import threading

A = "GPU-1f2e3d4c-0000-1111-2222-333344445555"
B = "GPU-0a0b0c0d-0000-1111-2222-333344445555"
TEXT = f"""\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="text_embedding",version="1"}} 12
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{{gpu_uuid="{A}"}} 0.370000
nv_gpu_utilization{{gpu_uuid="{B}"}} 0.000000
# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
# TYPE nv_gpu_memory_total_bytes gauge
nv_gpu_memory_total_bytes{{gpu_uuid="{A}"}} 85899345920.000000
nv_gpu_memory_total_bytes{{gpu_uuid="{B}"}} 0.000000
# HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{{gpu_uuid="{A}"}} 1073741824.000000
nv_gpu_memory_used_bytes{{gpu_uuid="{B}"}} 0.000000
# HELP nv_gpu_power_usage GPU power usage in watts
# TYPE nv_gpu_power_usage gauge
nv_gpu_power_usage{{gpu_uuid="{A}"}} 123.456000
nv_gpu_power_usage{{gpu_uuid="{B}"}} 11.000000
# HELP nv_gpu_power_limit GPU power management limit in watts
# TYPE nv_gpu_power_limit gauge
nv_gpu_power_limit{{gpu_uuid="{A}"}} 400.000000
nv_gpu_power_limit{{gpu_uuid="{B}"}} 0.000000
# HELP nv_energy_consumption GPU energy consumption in joules since the Triton Server started
# TYPE nv_energy_consumption counter
nv_energy_consumption{{gpu_uuid="{A}"}} 1234.500000
# HELP nv_cpu_utilization CPU utilization rate [0.0 - 1.0]
# TYPE nv_cpu_utilization gauge
nv_cpu_utilization 0.02
"""
"""As Triton writes it of a whole card and of one that has neither memory nor a limit, like GB10."""


class Endpoint:
    """A metrics port whose answer can be changed."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.text: str | None = TEXT
        self.hosts: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.hosts.append(self.headers["Host"])
                found = self.path == "/metrics" and outer.text is not None
                self.send_response(200 if found else 503)
                self.end_headers()
                if found and outer.text:
                    self.wfile.write(outer.text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.port = self.server.server_port
        self.url = f"http://{address}:{self.port}/metrics"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
