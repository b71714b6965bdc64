"""What the vision API does, without HTTP: encoded pictures to Triton, labels back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.context import Context, Service
from gateway.errors import BadRequestError, BodyTooLargeError, GatewayError
from gateway.health.attempts import Asking
from gateway.health.guard import guarded
from gateway.health.state import ModelState
from gateway.large_work import worked
from gateway.pictures import CANARY_IMAGE
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import Array, bytes_tensor

OUTPUTS = ("LABEL", "CONFIDENCE", "BATCH_SIZE", "TIMING_MS")
NOT_AN_IMAGE = (
    "Provided file is not a valid image. JPEG, PNG, WebP, GIF, BMP and AVIF pictures are read."
)
_REFUSALS: dict[str, tuple[type[GatewayError], str]] = {
    "image_empty": (BadRequestError, "Uploaded file is empty."),
    "image_invalid": (BadRequestError, NOT_AN_IMAGE),
    "image_truncated": (BadRequestError, "Provided file is a truncated or damaged image."),
    "image_too_large": (BodyTooLargeError, "The image has too many pixels."),
}
"""The codes of the model `image_classification`, and what the client reads."""


@dataclass(frozen=True)
class Classification:
    """One picture's answer.

    Attributes:
        labels: the five likeliest classes, descending.
        confidences: their softmax probabilities.
        latency_ms: decoding and preprocessing of this picture, and the execution of its batch.
        batch_size: pictures in that execution, those of other requests included.
    """

    labels: list[str]
    confidences: list[float]
    latency_ms: float
    batch_size: int


class VisionService(Service):
    """Classification by the model that ``vision.triton_model`` names."""

    name = "vision"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.vision
        self.admission = context.admission(self.name, settings)
        self.model = ModelState("classify", settings.triton_model, (settings.network,))
        self.models = [self.model]

    @property
    def engine(self) -> str:
        """What runs the network; ``TensorRT`` in the replaced server's spelling."""
        return "TensorRT" if self.model.engine.startswith("tensorrt") else self.model.engine

    async def classify(self, image: bytes) -> Classification:
        """Classify one encoded picture.

        Raises:
            BadRequestError: empty, not an image, truncated.
            BodyTooLargeError: too many bytes or pixels.
            GatewayError: busy, down, deadline or failed inference.
        """
        deadline = time.monotonic() + self.settings.deadline_seconds
        self._check_bytes(image)
        monitor = self._context.monitor
        async with guarded(monitor, self.admission, self.model, deadline) as asking:
            return await self._infer(image, asking)

    async def classify_many(self, images: Sequence[bytes]) -> list[Classification | GatewayError]:
        """Classify several pictures; a refused one yields its error in place.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        deadline = time.monotonic() + self.settings.deadline_seconds
        results: list[Classification | GatewayError] = [GatewayError()] * len(images)
        todo = iter(enumerate(images))

        async def worker(asking: Asking) -> None:
            for place, image in todo:
                try:
                    self._check_bytes(image)
                    results[place] = await self._infer(image, asking)
                except (BadRequestError, BodyTooLargeError) as error:
                    results[place] = error

        monitor = self._context.monitor
        async with guarded(monitor, self.admission, self.model, deadline) as asking:
            workers = min(self.settings.files_in_flight, len(images))
            tasks = [asyncio.ensure_future(worker(asking)) for _ in range(workers)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return results

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Classify a small picture and return the model's MODEL_INFO."""
        reply = await self._context.triton.infer(
            model.triton_model,
            {"IMAGE": bytes_tensor([CANARY_IMAGE])},
            ("CONFIDENCE", "MODEL_INFO"),
            timeout=timeout,
        )
        if not np.isfinite(reply["CONFIDENCE"]).all():
            raise GatewayError("canary is not finite")
        return dict(json.loads(reply["MODEL_INFO"].flat[0]))

    def _check_bytes(self, image: bytes) -> None:
        if not image:
            raise BadRequestError(_REFUSALS["image_empty"][1])
        if len(image) > self.settings.max_image_bytes:
            limit = self.settings.max_image_bytes
            raise BodyTooLargeError(f"The image file is too large: the limit is {limit} bytes.")

    async def _infer(self, image: bytes, asking: Asking) -> Classification:
        model = self.settings.triton_model
        self._context.metrics.rows(model, 1)
        inputs = {"IMAGE": await worked(len(image), bytes_tensor, [image])}
        headers = self._context.tracing.headers()
        try:
            reply = await asking(
                lambda seconds: self._context.triton.infer(
                    model, inputs, OUTPUTS, timeout=seconds, headers=headers
                )
            )
        except RefusedInputError as error:
            kind, detail = _REFUSALS.get(error.code, (BadRequestError, NOT_AN_IMAGE))
            raise kind(detail) from None
        return _classification(reply)


def _classification(reply: dict[str, Array]) -> Classification:
    return Classification(
        labels=[label.decode() for label in reply["LABEL"].reshape(-1)],
        confidences=[float(value) for value in reply["CONFIDENCE"].reshape(-1)],
        latency_ms=float(reply["TIMING_MS"].sum()),
        batch_size=int(reply["BATCH_SIZE"].flat[0]),
    )
