"""Queries, forms and answers of the vision API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from gateway.api.answers import Binary, ErrorDetail, described

GpuSource = TypeAliasType("GpuSource", Literal["dcgm", "nvml", "triton", "stub"])
"""Where readings come from; `triton` is Triton itself; `stub` invents them: there is no driver."""


class Samples(BaseModel):
    """How many samples are wanted."""

    samples: int = Field(1, ge=1, le=120, description="The newest ones of each GPU.")


class SamplesOfGpu(Samples):
    """How many samples are wanted, and of which GPU."""

    gpu: int = Field(0, ge=0, description="Index.")


class Picture(BaseModel):
    """A picture to classify."""

    file: Binary


class Pictures(BaseModel):
    """Pictures to classify."""

    files: list[Binary] = Field(min_length=1)


@described
class VisionHealth(TypedDict):
    """The service answers requests."""

    status: Literal["ok"]


@described
class Prediction(TypedDict):
    """One label with its softmax probability, 0 to 1."""

    label: str
    confidence: float


@described
class Classification(TypedDict):
    """One picture's likeliest classes. Times in milliseconds."""

    top1: Prediction
    top5: list[Prediction]
    latency_ms: float
    throughput_fps: float
    engine: str
    batch_size: int
    model: str


@described
class FileClassification(Classification):
    """The likeliest classes of one file of a batch."""

    filename: str


@described
class FileError(TypedDict):
    """Why a file could not be classified."""

    status: int
    detail: ErrorDetail


@described
class BatchFailure(TypedDict):
    """One file of a batch that could not be classified."""

    filename: str
    error: FileError


@described
class BatchResult(TypedDict):
    """One entry per file, in order."""

    results: list[FileClassification | BatchFailure]


@described
class GpuSample(TypedDict):
    """One reading of a GPU; a field is null where the device does not report it."""

    gpu_util: float | None
    """Percent of time in which a kernel ran."""
    mem_util: float | None
    """Percent of time in which memory was read or written; not how full it is."""
    memory_used_mb: float | None
    """MiB."""
    memory_total_mb: float | None
    """MiB."""
    power_w: float | None
    """Watts."""
    power_limit_w: float | None
    """Watts."""
    temperature_c: float | None
    """Degrees Celsius."""
    timestamp: float
    """Seconds since the epoch."""


@described
class GpuSeries(TypedDict):
    """The readings of one GPU, oldest first."""

    samples: list[GpuSample]
    source: GpuSource
    device: str | None
    gpu: int
    state: NotRequired[Literal["live", "lost"]]
    """`lost`: the driver is away and `samples` are the last there were."""


@described
class GpuReport(TypedDict):
    """The readings of every GPU."""

    gpus: list[GpuSeries]
    source: GpuSource
    interval_s: float


@described
class SingleGpuReport(GpuSeries):
    """The readings of one GPU, and how often they are taken."""

    interval_s: float
