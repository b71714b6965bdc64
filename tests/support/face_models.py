"""Asks the face models of a running tritonserver."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient import grpc

from tests.support.text_models import TextModels

OUTPUTS = ("VECTOR", "THUMBNAIL", "IMAGE_REPORT")
MODELS = ("face_detector", "face_embedder", "face_enrollment")


@dataclass(frozen=True)
class Enrollment:
    """The answer to one request."""

    vector: np.ndarray
    thumbnail: bytes
    reports: list[dict[str, Any]]


class FaceModels(TextModels):
    """A client of the face models."""

    def enroll(
        self,
        images: Sequence[bytes],
        poses: Sequence[str] | None = None,
        options: Mapping[str, object] | None = None,
        **call: Any,
    ) -> Enrollment:
        """Vector, thumbnail and reports of one person's pictures."""
        found = self.ask(images, OUTPUTS, poses, options, **call)
        reports = json.loads(found["IMAGE_REPORT"][0])
        return Enrollment(found["VECTOR"], bytes(found["THUMBNAIL"][0]), reports)

    def ask(
        self,
        images: Sequence[bytes],
        outputs: Sequence[str],
        poses: Sequence[str] | None = None,
        options: Mapping[str, object] | None = None,
        **call: Any,
    ) -> dict[str, np.ndarray]:
        """The outputs by name."""
        answer = self.client.infer(
            "face_enrollment",
            face_inputs(images, poses, options),
            outputs=[grpc.InferRequestedOutput(name) for name in outputs],
            **call,
        )
        return {name: answer.as_numpy(name) for name in outputs}


def face_inputs(
    images: Sequence[bytes],
    poses: Sequence[str] | None = None,
    options: Mapping[str, object] | None = None,
) -> list[grpc.InferInput]:
    """The inputs of `face_enrollment`."""
    poses = [""] * len(images) if poses is None else poses
    given = {"IMAGES": list(images), "POSES": [pose.encode() for pose in poses]}
    if options is not None:
        given["OPTIONS"] = [json.dumps(options).encode()]
    inputs = []
    for name, values in given.items():
        tensor = grpc.InferInput(name, [len(values)], "BYTES")
        tensor.set_data_from_numpy(np.array(values, dtype=np.object_))
        inputs.append(tensor)
    return inputs
