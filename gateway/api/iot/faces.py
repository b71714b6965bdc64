"""What the vectorizer does, without HTTP: pictures of one person to Triton, one vector back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.admission import Admission
from gateway.api.canary import CANARY_IMAGE
from gateway.api.iot.probe import probe
from gateway.context import Context
from gateway.errors import BodyTooLargeError, GatewayError, RefusedError
from gateway.health.guard import guarded
from gateway.health.state import ModelState
from gateway.triton import Tensor
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import bytes_tensor

OUTPUTS = ("VECTOR", "THUMBNAIL", "IMAGE_REPORT")
Refusals = dict[str, tuple[type[GatewayError], str]]
PICTURES = "JPEG, PNG, WebP, GIF, BMP and AVIF pictures are read"
IMAGE_REFUSALS: Refusals = {
    "image_empty": (RefusedError, "{image} is empty"),
    "image_invalid": (RefusedError, "{image} is not a valid image: " + PICTURES),
    "image_truncated": (RefusedError, "{image} is truncated or damaged"),
    "image_too_large": (BodyTooLargeError, "{image} has too many pixels"),
}
"""The codes of the models' picture decoder, and what the client reads."""
_REFUSALS: Refusals = {
    "face_not_found": (RefusedError, "No faces detected in any of the provided images"),
    "face_too_small": (RefusedError, "The face on {image} is too small"),
    **IMAGE_REFUSALS,
}
"""The codes of the model `face_enrollment`, and what the client reads."""


@dataclass(frozen=True)
class Picture:
    """One encoded picture and the pose it shows, empty when unknown."""

    data: bytes
    pose: str

    def name(self, place: int) -> str:
        """Return what a client knows it by, e.g. ``Image 2 (left)``."""
        return f"Image {place}" + (f" ({self.pose})" if self.pose else "")


@dataclass(frozen=True)
class Enrollment:
    """One person's answer.

    Attributes:
        vector: float32 [dimensions], of unit length unless asked for otherwise.
        thumbnail: JPEG, 128x128 pixels.
        reports: per picture, in order: whether it has a face and counts, and why not.
    """

    vector: NDArray[np.float32]
    thumbnail: bytes
    reports: list[dict[str, Any]]


class FaceService:
    """Face vectors by the model that ``iot.triton_model`` names."""

    def __init__(self, context: Context, admission: Admission) -> None:
        self._context = context
        self._admission = admission
        self._settings = settings = context.settings.iot
        self.model = ModelState("vectorize", settings.triton_model, tuple(settings.networks))

    async def enroll(
        self, pictures: Sequence[Picture], *, strict: bool | None = None, unit: bool = True
    ) -> Enrollment:
        """Return the vector of the person on all pictures.

        Args:
            pictures: of one person.
            strict: whether one that is no image refuses all; None: as configured.
            unit: whether the vector has unit length; else it is the plain mean.

        Raises:
            RefusedError: no face on any picture, or one that is no image; the detail names it.
            GatewayError: busy, down, deadline or failed inference.
        """
        model, context = self.model, self._context
        deadline = time.monotonic() + self._settings.deadline_seconds
        async with guarded(context.monitor, self._admission, model, deadline) as asking:
            context.metrics.rows(model.triton_model, len(pictures))
            inputs = {
                "IMAGES": bytes_tensor([one.data for one in pictures], rows=False),
                "POSES": bytes_tensor([one.pose.encode() for one in pictures], rows=False),
                "OPTIONS": self._wishes(strict, unit),
            }
            headers = context.tracing.headers()
            try:
                reply = await asking(
                    lambda left: context.triton.infer(
                        model.triton_model, inputs, OUTPUTS, timeout=left, headers=headers
                    )
                )
            except RefusedInputError as error:
                raise refusal(error, _REFUSALS, pictures) from None
        reports = json.loads(reply["IMAGE_REPORT"].flat[0])
        for place, (report, picture) in enumerate(zip(reports, pictures, strict=True)):
            report.update(index=place, pose=picture.pose or None)
        return Enrollment(
            vector=reply["VECTOR"].reshape(-1).astype("<f4"),
            thumbnail=bytes(reply["THUMBNAIL"].flat[0]),
            reports=reports,
        )

    def _wishes(self, strict: bool | None, unit: bool) -> Tensor:
        settings = self._settings
        wishes: dict[str, Any] = {
            "strict": settings.strict_images if strict is None else strict,
            "variants": settings.variants,
            "face": settings.face,
            "detection_side": settings.detection_side,
        }
        if not unit:
            wishes["unit"] = False
        return bytes_tensor([json.dumps(wishes).encode()], rows=False)

    async def canary(self, timeout: float) -> dict[str, Any]:
        """Run detector and embedder, and return the model's MODEL_INFO."""
        triton = self._context.triton
        reply = await triton.infer(
            self.model.triton_model,
            {
                "IMAGES": bytes_tensor([CANARY_IMAGE], rows=False),
                "POSES": bytes_tensor([b""], rows=False),
            },
            ("IMAGE_REPORT", "MODEL_INFO"),
            timeout=timeout,
        )
        # No face on that picture, so the embedder is asked by itself.
        await probe(triton, self._settings.networks[-1], timeout)
        return dict(json.loads(reply["MODEL_INFO"].flat[0]))


def refusal(
    error: RefusedInputError,
    known: Refusals,
    pictures: Sequence[Picture],
) -> GatewayError:
    """Return a model's refusal in the words of this API, naming the picture it is about."""
    if error.code not in known:
        return RefusedError("The input is refused")
    kind, words = known[error.code]
    name = "The image"
    if error.index is not None and error.index < len(pictures):
        name = pictures[error.index].name(error.index)
    return kind(words.format(image=name))
