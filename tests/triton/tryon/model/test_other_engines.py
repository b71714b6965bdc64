"""Another engine, a user's steps, and failures of the model: each in a server of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.support.tryon_model import (
    ROOT,
    Refused,
    TryonModel,
    networks,
    parameters,
    serving,
)
from tests.support.tryon_pictures import garment, png, upper
from tests.support.waiting import wait_for

PLACED = """
import hashlib, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from PIL import Image
from diffusion.diffusers_engine import DiffusersEngine
from tryon_engine import EngineJob
from tryon_progress import JobWatch
from tryon_request import parse_options
from tryon_settings import read_settings
made = set()
for placement in ("resident", "offload", "blocks"):
    settings = read_settings({{**{given!r}, "placement": placement}}, Path())
    engine = DiffusersEngine(settings)
    engine.load()
    wanted = parse_options(b'{{"seed": 3, "steps": 2, "restore": false}}', settings)
    person, garment = Image.new("RGB", (64, 96), "red"), Image.new("RGB", (64, 64), "navy")
    for _ in range(2):
        job = EngineJob(person, garment, wanted, JobWatch(lambda told: None, lambda: False))
        made.add(hashlib.sha256(engine.generate(job).picture.tobytes()).hexdigest())
    engine.unload()
print(*made)
"""
STEPS = """
from tryon_workflow import WorkflowStep

class Slow(WorkflowStep):
    name = "Slow"
    def execute(self, context):
        import time
        while True:
            time.sleep(0.02)
            context.watch.check()

def edit(workflow):
    workflow.replace_step("Inference", Slow())
"""


def tiny(checkpoint: Path, packages: Path, mode: str) -> dict[str, str]:
    """Parameters for pictures of a few thousand pixels on the CPU."""
    return {
        "engine": "diffusers",
        "model_path": str(checkpoint),
        "lora_path": str(checkpoint / "lightning.safetensors"),
        "libraries": str(packages),
        "device": "cpu",
        "dtype": "float32",
        "default_mode": mode,
        "vae_image_size": str(64 * 64),
        "condition_image_size": str(64 * 64),
        "resize_to_resolution": "false",
        "warmup_on_startup": "false",
    }


PERSON, GARMENT = png(Image.effect_noise((64, 96), 80)), png(Image.new("RGB", (64, 64), "navy"))


@pytest.fixture(scope="module")
def diffusers(
    checkpoint: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TryonModel]:
    """The engine `diffusers` with the tiny checkpoint, the LoRA fused, stored in fp8."""
    folder = tmp_path_factory.mktemp("diffusers")
    with serving(folder, **tiny(checkpoint, packages, "fp8")) as model:
        yield model


def test_diffusers_runs_a_checkpoint(diffusers: TryonModel) -> None:
    model, files = diffusers, (PERSON, GARMENT)
    described = model.describe()
    assert (described["mode"], described["defaults"]["steps"]) == ("fp8", 4)
    first = model.run(*files, seed=3)
    assert first.report["photorealistic"] is True
    assert first.report["model"] == "random-qwen-image-edit"
    assert first.report["restored"] is False  # there is nobody in noise
    assert (first.report["width"], first.report["height"]) == (64, 96)
    engine_steps = [one["engine_step"] for one in first.progress if one["engine_step"]]
    assert engine_steps == [1, 2, 3, 4]

    def cancel(progress: dict[str, Any], call: grpc.Call) -> None:
        if progress["engine_step"] == 1:
            call.cancel()

    before = model.metric("jobs_total", outcome="cancelled")
    with pytest.raises(Refused) as refused:
        model.run(*files, told=cancel, seed=3, steps=100)
    assert refused.value.status is grpc.StatusCode.CANCELLED
    assert model.run(*files, seed=3).image == first.image
    model.wait_metric(before + 1, "jobs_total", outcome="cancelled")  # it did not end by itself

    others = [{"seed": 4}, {"steps": 3}, {"cfg": 6.0}, {"prompt": "another one"}]
    made = {first.image}
    for other in others:
        made.add(model.run(*files, **{"seed": 3, "steps": 4, **other}).image)
    assert len(made) == 5  # each of them takes effect

    both = model.run(*files, seed=3, num_samples=2)
    assert [both.image, *both.samples] == [first.image, model.run(*files, seed=4).image]
    dress = model.run(*files, seed=3, category="dresses")
    assert dress.image not in made  # the prompt tells of it
    assert dress.report["ignored"] == []

    with pytest.raises(Refused, match="input:Inference: mode base is not loaded"):
        model.run(*files, mode="base")


def test_every_placement_makes_the_same_picture(checkpoint: Path, packages: Path) -> None:
    paths = [str(packages), str(ROOT / "model_repository" / "tryon" / "1"), str(ROOT)]
    given = parameters(body_networks=str(networks()), **tiny(checkpoint, packages, "fp8"))
    script = PLACED.format(paths=paths, given=given)
    command = [sys.executable, "-c", script]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert len(out.split()) == 1


def test_restore_keeps_the_persons_face_and_background(diffusers: TryonModel) -> None:
    before = upper(3).resize((288, 384), Image.Resampling.LANCZOS)
    answer = diffusers.run(png(before), png(garment("shirts", 2).resize((64, 64))), steps=1)
    made = np.asarray(Image.open(io.BytesIO(answer.image))).astype(int)
    assert answer.report["restored"] is True
    same = (made == np.asarray(before)).all(axis=-1)
    assert same[:60].all()
    assert same[:, :30].all()
    assert not same[140:220, 120:170].any()  # noise where the garment goes


def test_a_users_steps_run_inside_the_model(tmp_path: Path) -> None:
    example = str(ROOT / "examples" / "tryon_steps.py")
    with serving(tmp_path, steps_file=example, default_resolution="480p") as model:
        assert "Caption" in model.describe()["workflow"]
        answer = model.run(png(upper(3)), png(garment("jackets", 2)))
        made = np.asarray(Image.open(io.BytesIO(answer.image)))
        assert made[-3, 5].tolist() == [0, 0, 0]
        assert {"RefuseDarkPictures", "Caption"} <= answer.report["step_ms"].keys()
        with pytest.raises(Refused, match="input:RefuseDarkPictures: the person picture is too d"):
            model.run(png(Image.new("RGB", (64, 96))), png(garment("jackets", 2)))


def test_a_broken_steps_file_is_told_and_nothing_is_run(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("def edit(workflow):\n    workflow.remove_step('Nowhere')\n")
    with serving(tmp_path, wait=False, steps_file=str(file)) as model:
        wait_for(lambda: model.describe()["loading_error"])
        report = model.describe()
        assert (report["loaded"], report["loading_error"]) == (False, "steps_file_invalid")
        with pytest.raises(Refused, match="pipeline: the engine is dead"):
            model.run(PERSON, GARMENT)
        log = (tmp_path / "triton.log").read_text()
        assert "broken.py: WorkflowEditError: no step 'Nowhere'; there are PrepareInputs" in log


def test_a_killed_model_can_be_loaded_again(tmp_path: Path) -> None:
    steps = tmp_path / "slow.py"
    steps.write_text(STEPS)
    with serving(tmp_path, steps_file=str(steps), warmup_on_startup="false") as model:
        process: psutil.Process = model.stub_process()

        def kill(progress: dict[str, Any], call: grpc.Call) -> None:
            if progress["step"] == "Slow":
                process.kill()

        with pytest.raises(Refused):
            model.run(PERSON, GARMENT, told=kill, timeout=20)
        wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE)  # until Triton unloads it
        settings = tmp_path / "repository" / "tryon" / "1" / "settings.json"
        own = json.loads(settings.read_text())
        settings.write_text(json.dumps({**own, "steps_file": "", "default_resolution": "480p"}))
        model.reload()
        model.wait_loaded()
        assert model.run(png(upper(3)), png(garment("shirts", 4))).image
        assert model.stub_process().pid != process.pid
