"""The IoT service as health, admission and metrics see it: vectorizer and stories together."""

from __future__ import annotations

import json
from typing import Any

from gateway.context import Context, Service
from gateway.health.state import ModelState
from gateway.services.iot.emotions import EmotionService
from gateway.services.iot.faces import FaceService
from gateway.triton import Tensor, TritonPort
from gateway.triton.tensors import bytes_tensor

SIDE = 64  # pixels; a video model wants two frames
_FRAMES = Tensor("UINT8", (2, SIDE, SIDE, 3), bytes(2 * SIDE * SIDE * 3))
_TIMESTAMPS = Tensor("FP32", (2,), bytes(4) + b"\0\0\x80?")  # 0.0 and 1.0 s
_OPTIONS = json.dumps({"max_tokens": 1, "temperature": 0, "thinking_budget": 0}).encode()


class IotService(Service):
    """Face vectors and emotion stories behind one admission."""

    name = "iot"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.iot
        self.admission = context.admission(self.name, settings)
        self.faces = FaceService(context, self.admission)
        self.emotions = EmotionService(context, self.admission)
        self.models = [self.faces.model, self.emotions.model]
        if self.emotions.vlm is not None:
            self.models.append(self.emotions.vlm)

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Run the networks behind ``model`` and return its MODEL_INFO."""
        if model is self.faces.model:
            return await self.faces.canary(timeout)
        if model is self.emotions.model:
            return await self.emotions.canary(timeout)
        return await vlm_canary(self._context.triton, model.triton_model, timeout)


async def vlm_canary(triton: TritonPort, model: str, timeout: float) -> dict[str, Any]:
    """Generate one token about two black frames and return the model's MODEL_INFO."""
    reply = await triton.infer(
        model,
        {
            "FRAMES": _FRAMES,
            "TIMESTAMPS": _TIMESTAMPS,
            "PROMPT": bytes_tensor([b"Describe."], rows=False),
            "OPTIONS": bytes_tensor([_OPTIONS], rows=False),
        },
        ("TEXT", "MODEL_INFO"),
        timeout=timeout,
    )
    return dict(json.loads(reply["MODEL_INFO"].flat[0]))
