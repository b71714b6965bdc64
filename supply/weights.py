"""The weights that Pentad's exporters fetch: origin, licence, checksum."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from export.catalogue import (
    ALL_MINILM_L6_V2,
    CENTERFACE,
    FACEPLUGIN_EMBEDDER,
    FACEPLUGIN_EXPRESSION,
    MEDIAPIPE,
    MOBILENET_V2,
    Packaged,
)
from gateway.model_config import parameters, read_config

ROOT = Path(__file__).resolve().parents[1]


class Weights(NamedTuple):
    """Weights of one network.

    Attributes:
        name: What answers call it.
        source: Where they come from.
        version: Of that package; empty for a hub, whose revision the operator chooses.
        sha256: Of that package's file; empty for a hub.
        licence: SPDX identifier.
        note: What an operator must know before using them.
    """

    name: str
    source: str
    version: str
    sha256: str
    licence: str
    note: str = ""


def _packaged(weights: Packaged, note: str = "") -> Weights:
    package = weights.package
    source = f"{package.registry}: {package.name}"
    return Weights(weights.model, source, package.version, package.sha256, weights.license, note)


def default_weights() -> list[Weights]:
    """Return what `make models` fetches by default."""
    faces = (CENTERFACE, FACEPLUGIN_EMBEDDER, FACEPLUGIN_EXPRESSION)
    body = "pose and segmentation of try-on"
    return [
        _packaged(ALL_MINILM_L6_V2),
        _packaged(MOBILENET_V2),
        *(_packaged(network, f"training data: {network.training}") for network in faces),
        _packaged(Packaged(model=body, package=MEDIAPIPE, license="Apache-2.0")),
    ]


def configured_weights() -> list[Weights]:
    """Return what a configuration may name beside them: the default of the model `vlm`."""
    config = read_config(ROOT / "model_repository" / "vlm" / "config.pbtxt")
    source, comma, licence = parameters(config).get("source", "").partition(", ")
    if not comma:
        raise ValueError("model_repository/vlm/config.pbtxt names no source of its weights")
    return [Weights(source.rpartition("/")[2], source, "", "", licence, "only with iot.vlm")]
