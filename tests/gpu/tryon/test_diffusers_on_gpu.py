"""The engine `diffusers` on a GPU, with the tiny random checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.check.options import REPOSITORY

sys.path.append(str(REPOSITORY / "tryon" / "1"))

torch = pytest.importorskip("torch")
for needed in ("PIL", "tritonclient", "pydantic", "psutil"):
    pytest.importorskip(needed)
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def packages() -> Path:
    """diffusers, importable from now on."""
    from export.errors import ExportError
    from export.progress import Progress
    from export.tryon import libraries
    from tests.support.tryon_pictures import CACHE

    try:
        with Progress() as progress:
            folder = libraries.install(CACHE, progress)
    except ExportError as error:
        pytest.skip(str(error))
    sys.path.insert(0, str(folder))
    return folder


@pytest.mark.parametrize("mode", ["fp8", "lora", "base"])
def test_modes_run_on_the_gpu(mode: str, packages: Path, tmp_path: Path) -> None:
    from diffusion.diffusers_engine import DiffusersEngine
    from PIL import Image
    from tryon_engine import EngineJob
    from tryon_errors import JobCancelledError
    from tryon_progress import JobWatch
    from tryon_request import parse_options
    from tryon_settings import read_settings

    from tests.support.tiny_image_edit import LORA, write_checkpoint
    from tests.support.tryon_model import networks, parameters

    write_checkpoint(tmp_path)
    given = parameters(
        engine="diffusers",
        model_path=str(tmp_path),
        lora_path=str(tmp_path / LORA),
        body_networks=str(networks()),
        default_mode=mode,
        device="cuda",
    )
    settings = read_settings(given, tmp_path)
    engine = DiffusersEngine(settings)
    engine.load()
    assert engine.memory_bytes() > 2e6

    def picture(cancelled: Any = lambda: False) -> bytes:
        options = {"seed": 3, "steps": 4, "restore": False}
        watch = JobWatch(lambda progress: None, cancelled)
        person, garment = Image.new("RGB", (768, 1024), "red"), Image.new("RGB", (512, 512))
        parsed = parse_options(json.dumps(options).encode(), settings)
        return engine.generate(EngineJob(person, garment, parsed, watch)).picture.tobytes()

    first = picture()
    calls: list[int] = []
    with pytest.raises(JobCancelledError):
        picture(lambda: len(calls) > 1 or bool(calls.append(1)))
    assert picture() == first
    engine.unload()
    assert engine.memory_bytes() == 0


def test_every_placement_makes_the_same_picture(packages: Path, tmp_path: Path) -> None:
    from diffusion.diffusers_engine import DiffusersEngine
    from PIL import Image
    from tryon_engine import EngineJob
    from tryon_progress import JobWatch
    from tryon_request import parse_options
    from tryon_settings import read_settings

    from tests.support.tiny_image_edit import write_checkpoint
    from tests.support.tryon_model import networks, parameters

    write_checkpoint(tmp_path)
    made = set()
    for placement in ("", "resident", "offload", "blocks"):
        given = parameters(
            engine="diffusers", model_path=str(tmp_path), body_networks=str(networks()),
            default_mode="base", device="cuda", placement=placement,
        )  # fmt: skip
        settings = read_settings(given, tmp_path)
        engine = DiffusersEngine(settings)
        engine.load()
        options = parse_options(b'{"seed": 3, "steps": 2, "restore": false}', settings)
        person, garment = Image.new("RGB", (768, 1024), "red"), Image.new("RGB", (512, 512))
        job = EngineJob(person, garment, options, JobWatch(lambda told: None, lambda: False))
        made.add(engine.generate(job).picture.tobytes())
        engine.unload()
    assert len(made) == 1
