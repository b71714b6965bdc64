"""Device figures of `/info`: from Triton's metrics where the driver is not on this machine."""

from __future__ import annotations

import pynvml

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
