"""The vision service: image classification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from gateway.settings.base import Section, ServiceSection


class ClassifierSettings(Section):
    """What `make models` makes the classifier from: any of torchvision's classifiers."""

    architecture: str | None = None
    """torchvision's name of it, e.g. `resnet18`; none: MobileNetV2 from the package index."""
    weights: Path | None = None
    """Its state dictionary; none: torchvision's published file. Environment
    `GAVID_MODEL_TORCH_WEIGHTS`."""
    labels: Path | None = None
    """Its labels, one per line or a JSON list; none: ImageNet's."""
    input_size: int | None = Field(None, ge=16)
    """Side of the square it sees, pixels; none: as published."""
    resize_size: int | None = Field(None, ge=16)
    """Length of the picture's shorter side before the crop, pixels; none: as published."""


class VisionSettings(ServiceSection):
    """The vision API (`/vision` on the main port)."""

    port: int | None = Field(8090, ge=1, le=65535)
    """The old server's API at the root, with the main port's other paths; null: not served."""
    device: Literal["auto", "cpu", "cuda"] | str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$"
    )
    """Where Triton runs the classifier; environment `GAVID_DEVICE`. `auto`: as its config says."""
    triton_model: str = "image_classification"
    """Triton model that answers."""
    network: str = "image_classifier"
    """Triton model that runs the network for it; loaded first."""
    classifier: ClassifierSettings = ClassifierSettings()
    max_concurrent: int = Field(64, ge=1)
    """Requests in work at once; Triton batches across them."""
    max_waiting: int = Field(64, ge=0)
    """Requests that may wait for a slot; the next one is answered 503 at once."""
    slot_wait_seconds: float = Field(5.0, ge=0)
    """Longest wait for a slot before 503."""
    deadline_seconds: float = Field(30, gt=0)
    """Longest time for one request (504 beyond); the old client gives up after 30 s."""
    max_image_bytes: int = Field(16 * 2**20, ge=1024)
    """Largest encoded picture (413 beyond)."""
    max_body_bytes: int = Field(32 * 2**20, ge=1024)
    """Largest request body in bytes."""
    max_files: int = Field(32, ge=1, le=1000)
    """Most pictures in one request to `/infer/batch` (422 beyond)."""
    files_in_flight: int = Field(8, ge=1)
    """Pictures of one request in Triton at once."""
    cors_origins: list[str] = ["*"]
    """Origins whose pages may call this API, as the old server allowed; empty: `server.cors`."""

    def called_networks(self) -> Iterator[tuple[str, str]]:
        """Yield the classifier with the model that calls it."""
        yield self.network, self.triton_model

    def forced_devices(self) -> dict[str, str]:
        """Return where `device` places the classifier."""
        return {} if self.device == "auto" else {self.network: self.device}
