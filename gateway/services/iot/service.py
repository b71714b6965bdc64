"""The IoT service as health, admission and metrics see it: vectorizer and stories together."""

from __future__ import annotations

from typing import Any

from gateway.context import Context, Service
from gateway.health.state import ModelState
from gateway.health.vlm import vlm_canary
from gateway.services.iot.emotions import EmotionService
from gateway.services.iot.faces import FaceService


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
