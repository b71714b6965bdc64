"""What the vectorizer does, without HTTP: pictures of one person to Triton, one vector back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.admission import Admission
from gateway.context import Context
from gateway.errors import BodyTooLargeError, GatewayError, RefusedError
from gateway.health.attempts import Asking
from gateway.health.guard import guarded
from gateway.health.probe import probe
from gateway.health.state import ModelState
from gateway.large_work import worked
from gateway.pictures import CANARY_IMAGE
from gateway.triton import Tensor
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import bytes_tensor

_NEWER = ("quality", "pose_matches", "consistency", "consistent")
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
    "face_unclear": (RefusedError, "The face on {image} cannot be made out: turn it upright"),
    "face_turned_away": (RefusedError, "The face on {image} is turned too far away"),
    "face_blurred": (RefusedError, "The face on {image} is too blurred"),
    "face_too_dark": (RefusedError, "The face on {image} is too dark"),
    "face_too_bright": (RefusedError, "The face on {image} is too bright"),
    "faces_differ": (RefusedError, "The images show different people, among them {image}"),
    **IMAGE_REFUSALS,
}
"""The codes of the model `face_enrollment`, and what the client reads."""
_OF_ONE: Refusals = {
    **_REFUSALS,
    "face_not_found": (RefusedError, "{image} shows no face"),
}
"""The same where a picture stands alone."""


@dataclass(frozen=True)
class Picture:
    """One encoded picture.

    Attributes:
        data: the file.
        pose: it shows, empty when unknown.
        label: what a client knows it by, where that is not its place.
    """

    data: bytes
    pose: str
    label: str = ""

    def name(self, place: int) -> str:
        """Return what a client knows it by, e.g. ``Image 2 (left)``."""
        return self.label or f"Image {place}" + (f" ({self.pose})" if self.pose else "")


@dataclass(frozen=True)
class Enrollment:
    """One person's answer.

    Attributes:
        vector: float32 [dimensions], unit length.
        thumbnail: JPEG, 128x128 pixels.
        reports: per picture, in order: whether it has a face and counts, why not, and how good
            it is.
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
        options: dict[str, object] = {
            "strict": settings.strict_images,
            "variants": settings.variants,
            "face": settings.face,
            "detection_side": settings.detection_side,
            "extra_views": settings.extra_views,
            "quality": settings.quality.mode,
        }
        if settings.quality.consistency is not None:
            options["consistency"] = settings.quality.consistency
        self._options = options
        self.model = ModelState("vectorize", settings.triton_model, tuple(settings.networks))

    @property
    def dimensions(self) -> int | None:
        """Numbers of a vector; None before the model has answered once."""
        return self.model.info.get("dimensions")

    @property
    def same_person(self) -> float | None:
        """Cosine from which two vectors are one person's; None where nobody has measured it."""
        wanted: float | None = self._settings.quality.same_person
        measured: float | None = self.model.info.get("thresholds", {}).get("same_person")
        return measured if wanted is None else wanted

    def expect(self) -> None:
        """Raise UnavailableError where the model is down, and not to come back by itself."""
        self._context.monitor.expect(self.model)

    async def enroll(self, pictures: Sequence[Picture], **wishes: bool) -> Enrollment:
        """Return the vector of the person on all pictures.

        Args:
            pictures: of one person.
            wishes: options of the model otherwise than configured: ``strict``, whether one that is
                no image refuses all; ``unit``, whether the vector has unit length.

        Raises:
            RefusedError: no face on any picture, or one that is no image; the detail names it.
            GatewayError: busy, down, deadline or failed inference.
        """
        async with self._asking() as asking:
            return await self._enrolled(asking, pictures, _REFUSALS, **wishes)

    async def enroll_each(self, pictures: Sequence[Picture]) -> list[Enrollment]:
        """Return what each picture gives by itself, in the slot of one request.

        Raises:
            GatewayError: as :meth:`enroll`.
        """
        async with self._asking() as asking:
            return [await self._enrolled(asking, [picture], _OF_ONE) for picture in pictures]

    def _asking(self) -> AbstractAsyncContextManager[Asking]:
        deadline = time.monotonic() + self._settings.deadline_seconds
        return guarded(self._context.monitor, self._admission, self.model, deadline)

    async def _enrolled(
        self, asking: Asking, pictures: Sequence[Picture], refusals: Refusals, **wishes: bool
    ) -> Enrollment:
        model, context = self.model, self._context
        context.metrics.rows(model.triton_model, len(pictures))
        inputs = {
            "IMAGES": await images_tensor(pictures),
            "POSES": bytes_tensor([picture.pose.encode() for picture in pictures], rows=False),
            "OPTIONS": bytes_tensor([json.dumps(self._options | wishes).encode()], rows=False),
        }
        headers = context.tracing.headers()
        try:
            reply = await asking(
                lambda seconds: context.triton.infer(
                    model.triton_model, inputs, OUTPUTS, timeout=seconds, headers=headers
                )
            )
        except RefusedInputError as error:
            raise refusal(error, refusals, pictures) from None
        reports = [
            _placed(report, place, picture.pose)
            for place, (report, picture) in enumerate(
                zip(json.loads(reply["IMAGE_REPORT"].flat[0]), pictures, strict=True)
            )
        ]
        return Enrollment(
            vector=reply["VECTOR"].reshape(-1).astype("<f4"),
            thumbnail=bytes(reply["THUMBNAIL"].flat[0]),
            reports=reports,
        )

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


async def images_tensor(pictures: Sequence[Picture]) -> Tensor:
    """Return the files of pictures as a model takes them."""
    files = [picture.data for picture in pictures]
    return await worked(sum(map(len, files)), bytes_tensor, files, rows=False)


def _placed(report: dict[str, Any], place: int, pose: str) -> dict[str, Any]:
    """Return a model's report with the picture's place and pose, its newer keys behind them."""
    newer = {name: report.pop(name) for name in _NEWER if name in report}
    return report | {"index": place, "pose": pose or None} | newer


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
