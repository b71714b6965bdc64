"""Asks the face models of a running tritonserver."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient import grpc

from tests.support.text_models import ADMIN_HEADERS, TextModels

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
        strict: bool | None = None,
        **call: Any,
    ) -> Enrollment:
        """Vector, thumbnail and reports of one person's pictures."""
        found = self.ask(images, OUTPUTS, poses, strict, **call)
        reports = json.loads(found["IMAGE_REPORT"][0])
        return Enrollment(found["VECTOR"], bytes(found["THUMBNAIL"][0]), reports)

    def ask(
        self,
        images: Sequence[bytes],
        outputs: Sequence[str],
        poses: Sequence[str] | None = None,
        strict: bool | None = None,
        **call: Any,
    ) -> dict[str, np.ndarray]:
        """The outputs by name."""
        answer = self.client.infer(
            "face_enrollment",
            face_inputs(images, poses, strict),
            outputs=[grpc.InferRequestedOutput(name) for name in outputs],
            **call,
        )
        return {name: answer.as_numpy(name) for name in outputs}

    def reload(self, **parameters: str) -> None:
        """Loads `face_enrollment` anew with other parameters; without any, as it is written."""
        self.unload("face_enrollment")
        config = None
        if parameters:
            self.load("face_enrollment")
            whole = self.client.get_model_config("face_enrollment", as_json=True)["config"]
            for name, value in parameters.items():
                whole["parameters"][name] = {"string_value": value}
            config = json.dumps(whole)
            self.unload("face_enrollment")
        self.client.load_model("face_enrollment", headers=ADMIN_HEADERS, config=config)


def face_inputs(
    images: Sequence[bytes], poses: Sequence[str] | None = None, strict: bool | None = None
) -> list[grpc.InferInput]:
    """The inputs of `face_enrollment`."""
    poses = [""] * len(images) if poses is None else poses
    inputs = []
    for name, values in (("IMAGES", list(images)), ("POSES", [pose.encode() for pose in poses])):
        tensor = grpc.InferInput(name, [len(values)], "BYTES")
        tensor.set_data_from_numpy(np.array(values, dtype=np.object_))
        inputs.append(tensor)
    if strict is not None:
        tensor = grpc.InferInput("STRICT", [1], "BOOL")
        tensor.set_data_from_numpy(np.array([strict]))
        inputs.append(tensor)
    return inputs
