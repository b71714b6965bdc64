"""Asks the vision models of a running tritonserver."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient import grpc

from tests.support.text_models import TextModels

OUTPUTS = ("LABEL", "CLASS_ID", "CONFIDENCE", "BATCH_SIZE", "TIMING_MS")


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture."""

    labels: list[str]
    classes: list[int]
    confidences: np.ndarray
    batch_size: int
    timing_ms: tuple[float, float]


class VisionModels(TextModels):
    """A client of the vision models."""

    def classify(
        self, picture: bytes, model: str = "image_classification", **options: Any
    ) -> Answer:
        """The answer to one picture."""
        outputs = [grpc.InferRequestedOutput(name) for name in OUTPUTS]
        answer = self.client.infer(model, [image_input([picture])], outputs=outputs, **options)
        preparation, execution = answer.as_numpy("TIMING_MS")[0].tolist()
        return Answer(
            [label.decode() for label in answer.as_numpy("LABEL")[0]],
            answer.as_numpy("CLASS_ID")[0].tolist(),
            answer.as_numpy("CONFIDENCE")[0],
            int(answer.as_numpy("BATCH_SIZE")[0, 0]),
            (preparation, execution),
        )

    def classify_all(self, pictures: list[bytes], clients: int) -> list[Answer | Exception]:
        """Answers, or the exceptions that were raised instead, of concurrent requests."""

        def ask(picture: bytes) -> Answer | Exception:
            try:
                return self.classify(picture)
            except Exception as error:
                return error

        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(ask, pictures))


def image_input(pictures: list[bytes]) -> grpc.InferInput:
    """A BYTES tensor [n, 1]."""
    tensor = grpc.InferInput("IMAGE", [len(pictures), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(pictures, dtype=np.object_).reshape(-1, 1))
    return tensor
