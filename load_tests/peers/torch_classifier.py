"""The classifier that the peers run: torchvision's MobileNetV2 and its own evaluation transform."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from export.catalogue import MOBILENET_V2
from export.fetch import checkpoint_folder
from export.progress import Progress
from export.torchvision_library import Torchvision

BEST = 5


class TorchClassifier:
    """Model and transform in fp32 on the CPU, with the weights that Pentad exports by default."""

    def __init__(self, cache: Path) -> None:
        progress = Progress()
        library = Torchvision(cache, progress)
        file = checkpoint_folder(MOBILENET_V2.package, cache, progress) / MOBILENET_V2.file
        self.labels = library.imagenet_labels()
        self.model = library.network(MOBILENET_V2.model, len(self.labels))
        self.model.load_state_dict(torch.load(file, weights_only=True))
        weights: Any = library.published(MOBILENET_V2.model, MOBILENET_V2.file)
        self.transform = weights.transforms()

    def prepare(self, picture: bytes) -> torch.Tensor:
        """Decode and transform one picture, [3, 224, 224]."""
        return self.transform(Image.open(io.BytesIO(picture)).convert("RGB"))

    def classify(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the confidences, [pictures, 1000]."""
        with torch.inference_mode():
            return torch.softmax(self.model(torch.stack(list(prepared))), dim=1)

    def answer(self, confidences: torch.Tensor) -> dict[str, object]:
        """Return the labels of one picture's five best classes, as the old server's answer."""
        values, classes = confidences.topk(BEST)
        best = [
            {"label": self.labels[number], "confidence": value}
            for number, value in zip(classes.tolist(), values.tolist(), strict=True)
        ]
        return {"top1": best[0], "top5": best, "engine": "PyTorch"}
