"""The engine `lightx2v`: Qwen-Image-Edit-2511 by ModelTC/LightX2V, on a GPU.

It needs an environment of its own (it pins torch <= 2.11): build one with LightX2V from its
repository at REVISION, numpy < 2, opencv-python-headless, pillow and ai-edge-litert, and name it in
config.pbtxt by the parameter EXECUTION_ENV_PATH. Written by the interface of that revision, which
the tests check against and which is compared at load; never run against the library itself by this
project.

Its traps: every enable_* comes before create_generator; without target_shape pictures are 832x480;
pictures go in as paths in one text, separated by commas; the only way to cancel is to raise from
the progress callback, and end_run must follow, or the next job ignores its seed.
"""

from __future__ import annotations

import importlib
import inspect
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tryon_engine import EngineJob, EngineResult, TryonEngine
from tryon_errors import InputError, PipelineError, TryonError
from tryon_images import flatten, floored_size, resized
from tryon_settings import MODE_DEFAULTS, TryonSettings

from diffusion.card_memory import give_back, reserved_bytes, watched
from diffusion.result_restore import finished
from diffusion.warm_up import run_once

REVISION = "0d3188cdc86f264b94a71747f5e7e46d036233b9"
"""Of github.com/ModelTC/LightX2V."""
CALLS = {
    "__init__": {"task", "model_path", "model_cls"},
    "enable_quantize": {"dit_quantized", "dit_quantized_ckpt", "quant_scheme"},
    "enable_lora": {"lora_configs"},
    "create_generator": {"attn_mode", "infer_steps", "guidance_scale"},
    "generate": {
        "seed",
        "prompt",
        "negative_prompt",
        "image_path",
        "save_result_path",
        "return_result_tensor",
        "target_shape",
    },
}
"""Parameters by method of LightX2VPipeline: what this engine says, which other revisions rename."""
ATTENTIONS = (("flash_attn3", "flash_attn_interface"), ("flash_attn2", "flash_attn"))
"""The library's names for FlashAttention 3 (Hopper alone) and 2, and the modules they call. It
logs a missing one, and dies in the first job."""
HOPPER = 9
QUANTIZATION, QUANTIZATION_MODULE = "fp8-sgl", "sgl_kernel"
"""The library's name for the format of the fp8 file, and the module (package sgl-kernel) whose
kernels it calls without having looked for them."""
MODEL_CLASS = "qwen-image-edit-2511"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 (files with random names in a folder of one's own)
GUIDANCE_OFF = 1
SIDES = (256, 1664)
"""The library clamps sides to these."""


class Lightx2vEngine(TryonEngine):
    """See TryonEngine; the library frees its cache itself when memory is short."""

    name = "lightx2v"

    def __init__(self, settings: TryonSettings) -> None:
        super().__init__(settings)
        self._pipeline: Any = None
        self._mode = settings.default_mode
        steps, cfg = MODE_DEFAULTS[self._mode]  # only the engine `remote` leaves them open
        self._steps = settings.steps(self._mode) or steps
        self._cfg = settings.cfg(self._mode) or cfg
        self.model = settings.model_path.name if settings.model_path else "none"

    def load(self) -> None:
        """See TryonEngine."""
        settings, mode = self._settings, self._mode
        if settings.model_path is None or not settings.model_path.is_dir():
            raise PipelineError("model_path is no folder of a checkpoint")
        needed = {"fp8": settings.quantized_path, "lora": settings.lora_path}.get(mode, Path())
        if needed is None:
            raise PipelineError(f"mode {mode} needs its file")
        self._refuse_settings()
        try:
            from lightx2v import LightX2VPipeline
        except ImportError as error:
            raise PipelineError("LightX2V is not installed in this environment") from error
        _check_interface(LightX2VPipeline)
        with watched(settings.device):
            self._pipeline = self._made(LightX2VPipeline)
        super().load()

    def _refuse_settings(self) -> None:
        """Refuses what the library would die of at the first job, or not do.

        Raises:
            PipelineError: With the setting's name.
        """
        if self._settings.enable_teacache:
            raise PipelineError(
                "tryon.model.enable_teacache: LightX2V has no TeaCache for Qwen-Image; set it to "
                "false"
            )
        if self._settings.device != "cuda":
            raise PipelineError(
                "tryon.model.device: LightX2V computes on the first GPU that it sees; set it to "
                "cuda, and choose the card by CUDA_VISIBLE_DEVICES"
            )
        if self._mode == "fp8" and not _importable(QUANTIZATION_MODULE):
            raise PipelineError(
                "tryon.model.default_mode: fp8 needs the package sgl-kernel in LightX2V's "
                "environment; install it, or set lora or base"
            )

    def _made(self, pipeline_class: Any) -> Any:
        """Return the library's pipeline, with its generator."""
        settings, mode = self._settings, self._mode
        pipeline = pipeline_class(
            task="i2i", model_path=str(settings.model_path), model_cls=MODEL_CLASS
        )
        if mode == "fp8":  # the lightning LoRA is merged in this file
            pipeline.enable_quantize(
                dit_quantized=True,
                dit_quantized_ckpt=str(settings.quantized_path),
                quant_scheme=QUANTIZATION,
            )
        elif mode == "lora":
            pipeline.enable_lora([{"path": str(settings.lora_path), "strength": 1.0}])
        pipeline.create_generator(
            attn_mode=_attention(),
            infer_steps=self._steps,
            guidance_scale=self._cfg if self._cfg > 1 else GUIDANCE_OFF,
        )
        return pipeline

    def warm_up(self) -> None:
        """See TryonEngine."""
        run_once(self, self._settings)

    def generate(self, job: EngineJob) -> EngineResult:
        """See TryonEngine.

        Raises:
            InputError: Another mode, other steps or guidance than those that are loaded: the
                library fixes them when it builds its generator.
        """
        options = job.options
        self._check(job)
        width, height = floored_size(job.person.size)
        if not all(SIDES[0] <= side <= SIDES[1] for side in (width, height)):
            raise InputError(f"sides must be {SIDES[0]} to {SIDES[1]} pixels")
        person = resized(job.person, (width, height))
        runner = self._pipeline.runner
        runner.set_progress_callback(_progress(job, self._steps))
        try:
            with watched(self._settings.device), _files(person, flatten(job.garment)) as paths:
                answer = self._pipeline.generate(
                    seed=options.seed,
                    prompt=options.prompt,
                    negative_prompt="",
                    image_path=",".join(paths),
                    save_result_path=None,
                    return_result_tensor=True,
                    target_shape=[height, width],
                )
            picture = _picture(answer["images"])
        except TryonError:
            runner.end_run()
            raise
        except Exception as error:
            runner.end_run()
            raise PipelineError(f"the library failed with {type(error).__name__}") from error
        return finished(person, picture, self._networks, options)

    def memory_bytes(self) -> int:
        """See TryonEngine."""
        return reserved_bytes(self._settings.device)

    def unload(self) -> None:
        """See TryonEngine."""
        self._pipeline = None
        super().unload()
        give_back()

    def _check(self, job: EngineJob) -> None:
        options = job.options
        if options.mode != self._mode:
            raise InputError(f"mode {options.mode} is not loaded")
        if options.steps != self._steps and "steps" in options.given:
            raise InputError(f"this engine takes {self._steps} steps")
        loaded = self._cfg if self._cfg > 1 else GUIDANCE_OFF
        if "cfg" in options.given and max(GUIDANCE_OFF, options.cfg or GUIDANCE_OFF) != loaded:
            raise InputError(f"this engine has guidance {loaded}")


def _attention() -> str:
    """Return the library's name for the fastest attention that can be imported here."""
    import torch

    hopper = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] == HOPPER
    for name, module in ATTENTIONS if hopper else ATTENTIONS[1:]:
        if _importable(module):
            return name
    return "torch_sdpa"


def _importable(module: str) -> bool:
    """Whether it is there, and built for this torch."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError):
        return False
    return True


def _check_interface(pipeline: Any) -> None:
    """Compare the installed library with what this engine calls.

    Raises:
        PipelineError: It is another revision.
    """
    for method, wanted in CALLS.items():
        call = getattr(pipeline, method, None)
        if call is None or not wanted <= inspect.signature(call).parameters.keys():
            raise PipelineError(
                f"this LightX2V's {method} is another one than at revision {REVISION[:12]}, which "
                "this engine is written for"
            )


def _progress(job: EngineJob, steps: int) -> Any:
    def told(percent: float, whole: float) -> None:
        job.watch.engine_step(min(steps, round(percent / whole * steps)), steps)

    return told


@contextmanager
def _files(*pictures: Image.Image) -> Iterator[list[str]]:
    """Paths of the pictures in memory, with names that hold no comma."""
    with tempfile.TemporaryDirectory(prefix="tryon-", dir=SHARED_MEMORY) as folder:
        paths = [f"{folder}/{uuid.uuid4().hex}.png" for _ in pictures]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path, compress_level=1)
        yield paths


def _picture(tensor: Any) -> Image.Image:
    """RGB of a tensor [1, 3, height, width], or without its first dimension, from 0 to 1."""
    array = np.asarray(tensor.float().cpu().numpy() if hasattr(tensor, "cpu") else tensor)
    array = array[0] if array.ndim == 4 else array
    if array.shape[0] == 3:
        array = np.moveaxis(array, 0, -1)
    return Image.fromarray(np.rint(array.clip(0, 1) * 255).astype(np.uint8))
