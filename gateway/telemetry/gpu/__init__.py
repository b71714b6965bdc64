"""GPU figures: one source of samples, a history of them, and their Prometheus gauges."""

from __future__ import annotations

from gateway.telemetry.gpu.collector import GpuCollector
from gateway.telemetry.gpu.sample import (
    GpuHistory,
    GpuSample,
    GpuSource,
    Reading,
    SourceLostError,
    SourceName,
    UnknownGpuError,
)
from gateway.telemetry.gpu.sampler import GpuSampler
from gateway.telemetry.gpu.selection import gpu_source, select_source
from gateway.telemetry.gpu.triton import Gpu, read_nvml, read_triton

__all__ = [
    "Gpu",
    "GpuCollector",
    "GpuHistory",
    "GpuSample",
    "GpuSampler",
    "GpuSource",
    "Reading",
    "SourceLostError",
    "SourceName",
    "UnknownGpuError",
    "gpu_source",
    "read_nvml",
    "read_triton",
    "select_source",
]
