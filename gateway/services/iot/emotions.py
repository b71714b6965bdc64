"""What the emotion API does, without HTTP: a clip or pictures to Triton, a story back."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.admission import Admission
from gateway.context import Context
from gateway.errors import BodyTooLargeError, RefusedError, UnavailableError
from gateway.health.attempts import Asking
from gateway.health.guard import guarded
from gateway.health.probe import probe
from gateway.health.state import ModelState
from gateway.large_work import worked
from gateway.pictures import CANARY_IMAGE
from gateway.services.iot.faces import IMAGE_REFUSALS, Picture, Refusals, images_tensor, refusal
from gateway.triton import Tensor
from gateway.triton.status import RETRY_AFTER, NeededModelError, RefusedInputError
from gateway.triton.tensors import bytes_tensor

log = logging.getLogger(__name__)
VLM_UNAVAILABLE = "vlm_unavailable"
_REFUSALS: Refusals = {
    "clip_empty": (RefusedError, "video_clip is empty"),
    "clip_invalid": (
        RefusedError,
        "video_clip is not a valid MP4, QuickTime, 3GP or WebM video with H.264, HEVC, VP8, VP9 "
        "or AV1",
    ),
    "clip_truncated": (RefusedError, "video_clip is truncated before its first frame"),
    "clip_too_large": (BodyTooLargeError, "video_clip has too many pixels"),
    "clip_too_long": (BodyTooLargeError, "video_clip is too long"),
    **IMAGE_REFUSALS,
}
"""The codes of the model `emotion_story`, and what the client reads."""


class EmotionService:
    """Stories by the model that ``iot.emotions.triton_model`` names."""

    def __init__(self, context: Context, admission: Admission) -> None:
        self._context = context
        self._admission = admission
        self._settings = settings = context.settings.iot.emotions
        self.model = ModelState("emotions", settings.triton_model, tuple(settings.networks))
        self.vlm: ModelState | None = None
        if settings.engine == "vlm":
            self.vlm = context.shared_model("vlm", settings.vlm_model)

    async def clip(self, clip: bytes) -> dict[str, Any]:
        """Return the model's result for a clip: story, engine, model, emotions, frames, times.

        ``fallback`` says whether it comes from the timeline engine because the VLM is down.

        Raises:
            RefusedError: not a video.
            BodyTooLargeError: too many pixels, too long.
            GatewayError: busy, down, deadline or failed inference.
        """
        tensor = await worked(len(clip), bytes_tensor, [clip], rows=False)
        return await self._tell({"CLIP": tensor}, (), None)

    async def pictures(self, pictures: Sequence[Picture], prompt: str | None) -> dict[str, Any]:
        """Return the model's result for pictures, one entry of ``frames`` each.

        Raises:
            RefusedError: one of them is no image; the detail names it.
            GatewayError: busy, down, deadline or failed inference.
        """
        return await self._tell({"IMAGES": await images_tensor(pictures)}, pictures, prompt)

    async def canary(self, timeout: float) -> dict[str, Any]:
        """Run the timeline engine and its networks, and return the model's MODEL_INFO."""
        triton, settings = self._context.triton, self._settings
        reply = await triton.infer(
            settings.triton_model,
            {
                "IMAGES": bytes_tensor([CANARY_IMAGE], rows=False),
                **_choice("timeline", {}),
            },
            ("RESULT", "MODEL_INFO"),
            timeout=timeout,
        )
        await probe(triton, settings.networks[-1], timeout)
        return dict(json.loads(reply["MODEL_INFO"].flat[0]))

    async def _tell(
        self, inputs: Mapping[str, Tensor], pictures: Sequence[Picture], prompt: str | None
    ) -> dict[str, Any]:
        deadline = time.monotonic() + self._settings.deadline_seconds
        monitor = self._context.monitor
        async with guarded(monitor, self._admission, self.model, deadline) as asking:
            if self.vlm is not None:
                story = await self._by_vlm(self.vlm, asking, inputs, pictures, prompt)
                if story is not None:
                    return {**story, "fallback": False}
            story = await self._infer(asking, inputs, "timeline", pictures, prompt)
        return {**story, "fallback": self.vlm is not None}

    async def _by_vlm(
        self,
        vlm: ModelState,
        asking: Asking,
        inputs: Mapping[str, Tensor],
        pictures: Sequence[Picture],
        prompt: str | None,
    ) -> dict[str, Any] | None:
        """Ask the VLM; None when it is down and the timeline engine may answer instead.

        Raises:
            NeededModelError: it is down, and no other engine may answer.
            GatewayError: as for any inference.
        """
        if vlm.state == "ready":
            try:
                story = await self._infer(asking, inputs, "vlm", pictures, prompt)
            except NeededModelError:
                self._context.monitor.failed(vlm, UnavailableError())
            else:
                vlm.succeeded()
                return story
        if not self._settings.fallback:
            raise NeededModelError(retry_after=RETRY_AFTER)
        log.warning("VLM unavailable, the timeline engine answers")
        return None

    async def _infer(
        self,
        asking: Asking,
        inputs: Mapping[str, Tensor],
        engine: str,
        pictures: Sequence[Picture],
        prompt: str | None,
    ) -> dict[str, Any]:
        settings = self._settings
        options = {
            "frames": settings.frames,
            "prompt": prompt or settings.prompt,
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "thinking_budget": settings.thinking_budget,
        }
        tensors = {**inputs, **_choice(engine, options)}
        model, headers = settings.triton_model, self._context.tracing.headers()
        try:
            reply = await asking(
                lambda seconds: self._context.triton.infer(
                    model, tensors, ("RESULT",), timeout=seconds, headers=headers
                )
            )
        except RefusedInputError as error:
            if error.code == VLM_UNAVAILABLE:
                raise NeededModelError(retry_after=RETRY_AFTER) from None
            raise refusal(error, _REFUSALS, pictures) from None
        return dict(json.loads(reply["RESULT"].flat[0]))


def _choice(engine: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        "ENGINE": bytes_tensor([engine.encode()], rows=False),
        "OPTIONS": bytes_tensor([json.dumps(options).encode()], rows=False),
    }
