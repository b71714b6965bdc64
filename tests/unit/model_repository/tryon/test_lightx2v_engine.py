"""The adapter of LightX2V, against a double of its documented interface: never run for real here.

The double takes exactly the parameters that `lightx2v_interface.json` lists, behaves as documented
where that has bitten others, and remembers what it was told.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusion.lightx2v_engine import CALLS, REVISION, Lightx2vEngine
from PIL import Image
from tryon_engine import EngineJob
from tryon_errors import CardMemoryError, InputError, JobCancelledError, PipelineError
from tryon_progress import JobWatch
from tryon_request import parse_options
from tryon_settings import read_settings

from tests.support.tryon_model import parameters

INTERFACE = json.loads(Path(__file__).with_name("lightx2v_interface.json").read_text())
STEPS = {"fp8": 4, "lora": 4, "base": 40}


class Runner:
    """Keeps a used generator until end_run, as the library's scheduler does."""

    def __init__(self) -> None:
        self.seed: int | None = None
        self.callback: Callable[[float, float], None] = lambda percent, whole: None

    def set_progress_callback(self, callback: Callable[[float, float], None]) -> None:
        self.callback = callback

    def end_run(self) -> None:
        self.seed = None


class Pipeline:
    """The double."""

    made: list[Pipeline] = []

    def __init__(self, **given: Any) -> None:
        self.calls = [("LightX2VPipeline", _checked("LightX2VPipeline", given))]
        Pipeline.made.append(self)

    def create_generator(self, **given: Any) -> None:
        self.calls.append(("create_generator", _checked("create_generator", given)))
        self.steps = given["infer_steps"]
        self.runner = Runner()

    def generate(self, **given: Any) -> dict[str, Any]:
        self.calls.append(("generate", _checked("generate", given)))
        pictures = [Image.open(path) for path in given["image_path"].split(",")]
        self.seen = [picture.size for picture in pictures]
        if self.runner.seed is None:
            self.runner.seed = given["seed"]
        used = self.runner.seed
        for step in range(self.steps):
            self.runner.callback(100 * (step + 1) / self.steps, 100)
        height, width = given["target_shape"] or (480, 832)
        self.runner.end_run()
        values = np.random.default_rng(used).random((1, 3, height, width))
        return {"images": values if given["return_result_tensor"] else None}


def _enabling(name: str) -> Callable[..., None]:
    def call(self: Any, *places: Any, **given: Any) -> None:
        assert not hasattr(self, "runner"), "after create_generator it has no effect"
        named = dict(zip(INTERFACE[name], places, strict=False))
        self.calls.append((name, _checked(name, {**named, **given})))

    return call


def _signed(cls: Any) -> Any:
    """The class with the library's signatures, as far as they are known."""
    for name in INTERFACE.keys() - {"origin"}:
        method = "__init__" if name == "LightX2VPipeline" else name
        if name.startswith("enable_"):
            setattr(cls, method, _enabling(name))
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        found = [inspect.Parameter(one, kind) for one in ("self", *INTERFACE[name])]
        getattr(cls, method).__signature__ = inspect.Signature(found)
    return cls


def _checked(name: str, given: dict[str, Any]) -> dict[str, Any]:
    assert given.keys() <= set(INTERFACE[name]), name
    return given


_signed(Pipeline)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """An engine on the double, and the double."""
    monkeypatch.setitem(sys.modules, "lightx2v", SimpleNamespace(LightX2VPipeline=Pipeline))
    monkeypatch.setitem(sys.modules, "sgl_kernel", ModuleType("sgl_kernel"))
    monkeypatch.setattr("tryon_engine.BodyNetworks", lambda folder, threads: None)
    files = {"model_path": str(tmp_path), "lora_path": "/l", "quantized_path": "/q"}

    def load(mode: str, **changed: str) -> tuple[Lightx2vEngine, Pipeline, Any]:
        given = parameters(engine="lightx2v", default_mode=mode, **{**files, **changed})
        settings = read_settings(given, tmp_path)
        engine = Lightx2vEngine(settings)
        engine.load()
        return engine, Pipeline.made[-1], settings

    return load


def job(settings: Any, cancelled: Callable[[], bool] = lambda: False, **options: Any) -> EngineJob:
    told: list[dict[str, Any]] = []
    parsed = parse_options(json.dumps({"restore": False, **options}).encode(), settings)
    person, garment = Image.new("RGB", (300, 410)), Image.new("RGB", (200, 200))
    return EngineJob(person, garment, parsed, JobWatch(told.append, cancelled))


@pytest.mark.parametrize(
    ("mode", "enabled", "guidance"),
    [("fp8", "enable_quantize", 1), ("lora", "enable_lora", 1), ("base", None, 4)],
)
def test_modes_are_set_up_in_the_documented_order(
    mode: str, enabled: str | None, guidance: float, loaded: Callable[..., Any]
) -> None:
    _, double, _ = loaded(mode)
    names = [name for name, _ in double.calls]
    middle = [enabled] if enabled else []
    assert names == ["LightX2VPipeline", *middle, "create_generator"]
    assert double.calls[0][1]["task"] == "i2i"
    assert double.calls[0][1]["model_cls"] == "qwen-image-edit-2511"
    generator = double.calls[-1][1]
    assert generator["attn_mode"] == "torch_sdpa"  # nothing faster is installed here
    assert (generator["infer_steps"], generator["guidance_scale"]) == (STEPS[mode], guidance)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"enable_teacache": "true"}, "tryon.model.enable_teacache: .* set it to false"),
        ({"device": "cuda:1"}, "tryon.model.device: .* CUDA_VISIBLE_DEVICES"),
        ({"device": "cpu"}, "tryon.model.device: "),
    ],
)
def test_settings_that_die_at_the_first_job_are_refused_at_load(
    changed: dict[str, str], words: str, loaded: Callable[..., Any]
) -> None:
    made = len(Pipeline.made)
    with pytest.raises(PipelineError, match=words):
        loaded("base", **changed)
    assert len(Pipeline.made) == made  # before anything was read


def test_fp8_without_its_kernels_is_refused_at_load(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sgl_kernel", None)
    with pytest.raises(PipelineError, match="default_mode: fp8 needs the package sgl-kernel"):
        loaded("fp8")
    loaded("lora")


@pytest.mark.parametrize(
    ("hopper", "installed", "wanted"),
    [
        (True, ("flash_attn_interface", "flash_attn"), "flash_attn3"),
        (True, ("flash_attn",), "flash_attn2"),
        (True, (), "torch_sdpa"),
        (False, ("flash_attn_interface", "flash_attn"), "flash_attn2"),
        (False, ("flash_attn_interface",), "torch_sdpa"),
    ],
)
def test_attention_is_what_can_be_imported(
    hopper: bool,
    installed: tuple[str, ...],
    wanted: str,
    loaded: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capability = (9, 0) if hopper else (8, 9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: capability)
    for name in ("flash_attn_interface", "flash_attn"):
        found = ModuleType(name) if name in installed else None
        monkeypatch.setitem(sys.modules, name, found)
    _, double, _ = loaded("base")
    assert double.calls[-1][1]["attn_mode"] == wanted


def test_another_revision_is_refused_at_load(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REVISION in INTERFACE["origin"]
    for method, names in CALLS.items():
        known = INTERFACE["LightX2VPipeline" if method == "__init__" else method]
        assert names <= set(known), method

    def renamed(self: Any, attention: str, infer_steps: int, guidance_scale: float) -> None:
        raise AssertionError

    monkeypatch.setattr(Pipeline, "create_generator", renamed)
    with pytest.raises(PipelineError, match=f"create_generator .* revision {REVISION[:12]}"):
        loaded("base")
    monkeypatch.delattr(Pipeline, "create_generator")
    with pytest.raises(PipelineError, match="create_generator"):
        loaded("base")


def test_a_card_without_memory_is_told_without_the_librarys_words(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine, double, settings = loaded("base")

    def full(**given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. /secret/path")

    monkeypatch.setattr(double, "generate", full)
    with pytest.raises(CardMemoryError) as raised:
        engine.generate(job(settings))
    assert str(raised.value) == "pipeline: out of memory: a lower resolution needs less"
    assert "out of memory on cuda, 0.0 GB are held here" in caplog.text
    assert "secret" not in caplog.text


def test_a_job_has_the_persons_shape_and_two_paths(loaded: Callable[..., Any]) -> None:
    engine, double, settings = loaded("fp8")
    result = engine.generate(job(settings, seed=5))
    name, given = double.calls[-1]
    assert (name, given["seed"], given["target_shape"]) == ("generate", 5, [400, 288])
    assert double.seen == [(288, 400), (200, 200)]
    paths = given["image_path"].split(",")
    assert all(path.startswith("/dev/shm/tryon-") for path in paths)
    assert not any(Path(path).exists() for path in paths)
    assert (result.picture.size, result.restored) == ((288, 400), False)


def test_a_cancelled_job_does_not_leave_its_seed(loaded: Callable[..., Any]) -> None:
    engine, _, settings = loaded("base")
    wanted = engine.generate(job(settings, seed=2)).picture.tobytes()
    steps: list[int] = []
    with pytest.raises(JobCancelledError):
        engine.generate(job(settings, lambda: len(steps) > 2 or bool(steps.append(1)), seed=1))
    assert len(steps) == 3  # the fourth step did not begin
    assert engine.generate(job(settings, seed=2)).picture.tobytes() == wanted


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "base"}, "mode base is not loaded"),
        ({"steps": 8}, "takes 4 steps"),
        ({"cfg": 3.0}, "guidance 1"),
    ],
)
def test_what_the_library_fixes_at_load_is_refused(
    options: dict[str, Any], words: str, loaded: Callable[..., Any]
) -> None:
    engine, _, settings = loaded("fp8")
    with pytest.raises(InputError, match=words):
        engine.generate(job(settings, **options))
    engine.generate(job(settings, steps=4, cfg=1.0, mode="fp8"))


def test_what_is_missing_is_told(tmp_path: Path, loaded: Callable[..., Any]) -> None:
    with pytest.raises(PipelineError, match="mode fp8 needs its file"):
        loaded("fp8", quantized_path="")
    with pytest.raises(PipelineError, match="no folder of a checkpoint"):
        loaded("base", model_path=str(tmp_path / "gone"))
    sys.modules.pop("lightx2v")
    with pytest.raises(PipelineError, match="not installed"):
        loaded("base")
