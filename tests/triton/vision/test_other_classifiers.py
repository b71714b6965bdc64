"""A classifier of another architecture, size and number of classes is served beside the default."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.progress import Progress
from export.torchvision_library import Torchvision
from launcher.server import TritonServer
from tests.support.golden_pictures import CACHE, PICTURES, reference_picture
from tests.support.text_models import ROOT
from tests.support.vision_models import VisionModels

LABELS = ("red", "green", "blue")
SIZE = 96


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(Torchvision(CACHE, Progress()).network("resnet18", len(LABELS)).state_dict(), file)
    return file


def test_a_resnet18_of_three_classes(
    exported_classifier: Path, weights: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "models"
    for name in ("image_classifier", "image_classification"):
        shutil.copytree(exported_classifier / name, repository / name)
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(LABELS))
    command = [sys.executable, "-m", "export", "image_classifier", "--architecture", "resnet18"]
    command += ["--weights", str(weights), "--labels", str(labels), "--as", "colours"]
    command += ["--input-size", str(SIZE)]
    environment = {**os.environ, "PENTAD_PATHS__REPOSITORY": str(repository)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    log = tmp_path / "triton.log"
    with TritonServer.on_free_ports(repository, log=log) as server:
        models = VisionModels(server)
        models.load("image_classifier_colours", "image_classification_colours")
        file = PICTURES / "chelsea_alpha.png"
        got = models.classify(file.read_bytes(), "image_classification_colours")
        models.close()
    assert sorted(got.labels) == sorted(LABELS)
    expected = _reference(weights, file)
    np.testing.assert_allclose(got.confidences, expected[got.classes], atol=1e-3)


def _reference(weights: Path, file: Path) -> np.ndarray:
    """Confidences by torchvision's own preset for that size."""
    import torch

    library = Torchvision(CACHE, Progress())
    from torchvision.transforms._presets import ImageClassification

    transform = ImageClassification(crop_size=SIZE, resize_size=110)  # 96 * 256 / 224
    model = library.network("resnet18", len(LABELS))
    model.load_state_dict(torch.load(weights, weights_only=True))
    with torch.inference_mode():
        logits = model(transform(reference_picture(file))[None])
    return torch.softmax(logits, 1)[0].numpy()
