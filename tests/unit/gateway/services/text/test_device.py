"""Device figures of `/info`: from Triton's metrics where the driver is not on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pynvml
import pytest

from gateway.services.text import routes
from gateway.settings.triton import TritonSettings
from gateway.telemetry.gpu import Gpu, read_nvml, read_triton
from tests.support.fake_gpu import FakeGpu, FakeNvml

METRICS = """\
# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 85899345920.000000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"} 42949672960.000000
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 1073741824.000000
nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 2147483648.000000
"""


def test_triton_metrics() -> None:
    assert read_triton(METRICS, 1) == Gpu("cuda", 40960, 2048, None)
    assert read_triton(METRICS, 2) is None
    assert read_triton("", 0) is None


def test_nvml() -> None:
    driver = FakeNvml(FakeGpu(name=b"NVIDIA GeForce RTX 2080 Ti", total=11 * 2**30, used=3 * 2**30))
    assert read_nvml(0, driver) == Gpu("NVIDIA GeForce RTX 2080 Ti", 11264, 3072, "12.6")
    assert read_nvml(1, driver) is None
    assert driver.opened == 0, "the driver is left open"
    driver.down = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    assert read_nvml(0, driver) is None


def test_a_card_without_memory_of_its_own_keeps_its_name() -> None:
    code = pynvml.NVML_ERROR_NOT_SUPPORTED
    driver = FakeNvml(FakeGpu(name="NVIDIA GB10", errors={"nvmlDeviceGetMemoryInfo": code}))
    assert read_nvml(0, driver) == Gpu("NVIDIA GB10", None, None, "12.6")
    driver.gpus[0].errors["nvmlDeviceGetMemoryInfo"] = pynvml.NVML_ERROR_GPU_IS_LOST
    assert read_nvml(0, driver) is None


def test_a_number_is_the_one_that_cuda_gives() -> None:
    driver = FakeNvml(FakeGpu(name="A"), FakeGpu(name="B", uuid="GPU-b"))
    found = read_nvml(0, driver, "1")
    assert found is not None
    assert found.name == "B"
    assert read_nvml(1, driver, "1") is None


@pytest.fixture
def endpoint() -> Iterator[str]:
    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(METRICS.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


def test_the_first_triton_that_answers_tells(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "read_nvml", lambda index: None)

    def read(urls: str | None) -> object:
        settings = SimpleNamespace(triton=TritonSettings(metrics_url=urls))
        monitor = SimpleNamespace(triton_version="2.51.0")
        context = SimpleNamespace(settings=settings, monitor=monitor)
        return routes.read_device("cuda:1", context)["vram_used_mb"]  # type: ignore[arg-type]

    assert read(f"http://127.0.0.1:1/metrics, file:///etc/hostname, {endpoint}") == 2048
    assert read("http://127.0.0.1:1/metrics") is None
    assert read(None) is None
