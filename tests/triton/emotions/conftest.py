"""One tritonserver with the real emotion models for all tests that only ask it questions."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from launcher.server import TritonServer
from tests.support.emotion_models import EmotionModels
from tests.support.text_models import REPOSITORY, ROOT

PICTURES = Path(__file__).resolve().parents[2] / "golden" / "pictures"
NETWORKS = ("face_detector", "expression_classifier")
VLM = Path(__file__).parent / "scripted_vlm"


@pytest.fixture(scope="package")
def emotion_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmotionModels]:
    """The emotion models in their portable configuration, beside a VLM that answers by script.

    The VLM alone is a stand-in: a real one takes minutes to start and has tests of its own.
    """
    subprocess.run([sys.executable, "-m", "export", *NETWORKS], cwd=ROOT, check=True)
    folder = tmp_path_factory.mktemp("emotions")
    repository = folder / "repository"
    repository.mkdir()
    for name in (*NETWORKS, "emotion_story"):
        shutil.copytree(REPOSITORY / name, repository / name)  # links become files
    shutil.copytree(VLM, repository / "vlm")
    log = folder / "triton.log"
    with TritonServer.on_free_ports(repository, log=log) as server:
        models = EmotionModels(server)
        models.load(*NETWORKS, "emotion_story")
        yield models
        models.close()


@pytest.fixture(scope="package")
def astronaut() -> bytes:
    """A smile: Eileen Collins, NASA, public domain."""
    return (PICTURES / "astronaut_tall.jpg").read_bytes()


@pytest.fixture(scope="package")
def black() -> bytes:
    """Nobody."""
    sink = io.BytesIO()
    Image.new("RGB", (200, 100)).save(sink, "JPEG")
    return sink.getvalue()
