"""The device figures of `/info`."""

from __future__ import annotations

from typing import Any

from gateway.context import Context
from gateway.telemetry.gpu import Gpu, read_nvml, read_triton
from gateway.telemetry.gpu.triton import texts


class DeviceReader:
    """Reads the GPU that runs the text models; without one all figures are null."""

    def __init__(self, context: Context) -> None:
        self._metrics_urls = context.settings.triton.metrics_urls
        self._monitor = context.monitor

    def read(self, device: str) -> dict[str, Any]:
        """Return ``device_name`` … ``cuda_version`` of ``/info``. Blocks: call it in a thread."""
        gpu = self._gpu(int(device.partition(":")[2] or 0)) if device != "cpu" else None
        return {
            "device_name": gpu.name if gpu else "cpu",
            "vram_total_mb": gpu.total_mb if gpu else None,
            "vram_used_mb": gpu.used_mb if gpu else None,
            # The field is part of the contract; PyTorch itself no longer runs the models.
            "pytorch_version": f"not used (Triton {self._monitor.triton_version or 'down'})",
            "cuda_version": gpu.cuda_version if gpu else None,
        }

    def _gpu(self, index: int) -> Gpu | None:
        return read_nvml(index) or self._remote(index)

    def _remote(self, index: int) -> Gpu | None:
        first = next(texts(self._metrics_urls), None)
        return None if first is None else read_triton(first, index)
