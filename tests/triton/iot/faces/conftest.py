"""One tritonserver with the real face models for all tests that only ask it questions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.server import TritonServer
from tests.support.face_models import MODELS, FaceModels
from tests.support.text_models import REPOSITORY, ROOT


@pytest.fixture(scope="package")
def exported_faces() -> Path:
    """The model repository with the face networks, exported unless they are up to date."""
    command = [sys.executable, "-m", "export", "face_detector", "face_embedder"]
    subprocess.run(command, cwd=ROOT, check=True)
    return REPOSITORY


@pytest.fixture(scope="package")
def face_models(
    exported_faces: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaceModels]:
    """The face models in their portable configuration."""
    log = tmp_path_factory.mktemp("triton") / "triton.log"
    with TritonServer.on_free_ports(exported_faces, log=log) as server:
        models = FaceModels(server)
        models.load(*MODELS)
        yield models
        models.close()
