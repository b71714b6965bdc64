"""One tritonserver with the warp engine for all tests that only ask it; a tiny checkpoint."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.progress import Progress
from export.tryon import libraries
from tests.support.tryon_model import ROOT, TryonModel, serving
from tests.support.tryon_pictures import CACHE

WRITE = """
import sys
sys.path[:0] = {paths!r}
from diffusion.torchvision_import import declare_operators
declare_operators()
from tests.support.tiny_image_edit import write_checkpoint
from pathlib import Path
write_checkpoint(Path({folder!r}))
"""


@pytest.fixture(scope="package")
def tryon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TryonModel]:
    """The model at 480p."""
    with serving(tmp_path_factory.mktemp("tryon"), default_resolution="480p") as model:
        yield model


@pytest.fixture(scope="package")
def packages() -> Path:
    """diffusers, installed once."""
    with Progress() as progress:
        return libraries.install(CACHE, progress)


@pytest.fixture(scope="package")
def checkpoint(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Qwen-Image-Edit, written by a process of its own: diffusers stays out of
    this one."""
    folder = tmp_path_factory.mktemp("checkpoint") / "random-qwen-image-edit"
    paths = [str(packages), str(ROOT / "model_repository" / "tryon" / "1"), str(ROOT)]
    script = WRITE.format(paths=paths, folder=str(folder))
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
    return folder
