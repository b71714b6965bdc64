"""Asks the emotion models of a running tritonserver."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tritonclient import grpc

from tests.support.text_models import TextModels


class EmotionModels(TextModels):
    """A client of the emotion models."""

    def tell(
        self,
        clip: bytes | None = None,
        images: Sequence[bytes] | None = None,
        engine: str = "",
        options: Mapping[str, Any] | None = None,
        **call: Any,
    ) -> dict[str, Any]:
        """The result for a clip or for pictures."""
        inputs = story_inputs(clip, images, engine, options)
        outputs = [grpc.InferRequestedOutput("RESULT")]
        answer = self.client.infer("emotion_story", inputs, outputs=outputs, **call)
        return dict(json.loads(answer.as_numpy("RESULT")[0]))

    def info(self, clip: bytes) -> dict[str, Any]:
        """What the model says of itself."""
        outputs = [grpc.InferRequestedOutput("MODEL_INFO")]
        answer = self.client.infer("emotion_story", story_inputs(clip), outputs=outputs)
        return dict(json.loads(answer.as_numpy("MODEL_INFO")[0]))


def story_inputs(
    clip: bytes | None = None,
    images: Sequence[bytes] | None = None,
    engine: str = "",
    options: Mapping[str, Any] | None = None,
) -> list[grpc.InferInput]:
    """The inputs of `emotion_story`."""
    given: dict[str, list[bytes]] = {}
    if clip is not None:
        given["CLIP"] = [clip]
    if images is not None:
        given["IMAGES"] = list(images)
    if engine:
        given["ENGINE"] = [engine.encode()]
    if options is not None:
        given["OPTIONS"] = [json.dumps(options).encode()]
    inputs = []
    for name, values in given.items():
        tensor = grpc.InferInput(name, [len(values)], "BYTES")
        tensor.set_data_from_numpy(np.array(values, dtype=np.object_))
        inputs.append(tensor)
    return inputs
