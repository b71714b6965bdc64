"""One tritonserver with the real vision models for all tests that only ask it questions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.server import TritonServer
from tests.support.golden_pictures import PICTURES
from tests.support.text_models import REPOSITORY, ROOT
from tests.support.vision_models import VisionModels


@pytest.fixture(scope="package")
def exported_classifier() -> Path:
    """The model repository with the vision models, exported unless they are up to date."""
    subprocess.run([sys.executable, "-m", "export", "--services", "vision"], cwd=ROOT, check=True)
    return REPOSITORY


@pytest.fixture(scope="package")
def vision_models(
    exported_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VisionModels]:
    """The vision models in their portable configuration."""
    log = tmp_path_factory.mktemp("triton") / "triton.log"
    with TritonServer.on_free_ports(exported_classifier, log=log) as server:
        models = VisionModels(server)
        models.load("image_classifier", "image_classification")
        yield models
        models.close()


@pytest.fixture(scope="package")
def pictures() -> dict[str, bytes]:
    """The ten golden pictures by name."""
    return {file.name: file.read_bytes() for file in sorted(PICTURES.iterdir())}
