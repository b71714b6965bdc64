"""Device figures: from Triton's metrics where the driver is not on this machine."""

from __future__ import annotations

import pytest

from gateway.telemetry import gpu

METRICS = """\
# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 85899345920.000000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"} 42949672960.000000
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 1073741824.000000
nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 2147483648.000000
"""


def test_triton_metrics() -> None:
    second = gpu.read_triton(METRICS, 1)
    assert second == gpu.Gpu("cuda", 40960, 2048, None)
    assert gpu.read_triton(METRICS, 2) is None
    assert gpu.read_triton("", 0) is None


class Nvml:
    """A driver with one device; names are NVML's own."""

    NVMLError = RuntimeError
    present = True

    def nvmlInit(self) -> None:
        if not self.present:
            raise self.NVMLError

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index:
            raise self.NVMLError
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> object:
        return type("Memory", (), {"total": 11 * 2**30, "used": 3 * 2**30})

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"NVIDIA GeForce RTX 2080 Ti"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12060


def test_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Nvml()
    monkeypatch.setattr(gpu, "pynvml", driver)
    found = gpu.read_nvml(0)
    assert found == gpu.Gpu("NVIDIA GeForce RTX 2080 Ti", 11264, 3072, "12.6")
    assert gpu.read_nvml(1) is None
    driver.present = False
    assert gpu.read_nvml(0) is None
