"""The engine `diffusers`: Qwen-Image-Edit by QwenImageEditPlusPipeline, from local files only.

Modes: `base` as it is; `lora` with a lightning LoRA fused; `fp8` the same, and the transformer may
be stored in float8_e4m3fn and computed in the dtype of the settings. One mode is loaded.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from tryon_engine import EngineJob, EngineResult, TryonEngine
from tryon_errors import CardMemoryError, InputError, PipelineError, TryonError
from tryon_images import flatten, floored_size, resized
from tryon_settings import TryonSettings

from diffusion.card_memory import give_back, reserved_bytes, watched
from diffusion.diffusers_loading import load_pipeline
from diffusion.result_restore import finished
from diffusion.torchvision_import import declare_operators
from diffusion.warm_up import run_once

GUIDANCE_OFF = 1.0
NO_PROMPT = " "
"""Negative prompt: guidance is only computed when there is one."""


class DiffusersEngine(TryonEngine):
    """See TryonEngine."""

    name = "diffusers"

    def __init__(self, settings: TryonSettings) -> None:
        super().__init__(settings)
        self._pipeline: Any = None
        folder = settings.model_path
        self.model = folder.name if folder else "none"

    def load(self) -> None:
        """See TryonEngine."""
        settings = self._settings
        if settings.model_path is None or not settings.model_path.is_dir():
            raise PipelineError("model_path is no folder of a checkpoint")
        if settings.default_mode != "base" and settings.lora_path is None:
            raise PipelineError(f"mode {settings.default_mode} needs lora_path")
        os.environ["HF_HUB_OFFLINE"] = "1"
        if settings.libraries is not None:
            sys.path.insert(0, str(settings.libraries))
        declare_operators()
        self._size_inputs()
        with watched(settings.device):
            self._pipeline = load_pipeline(settings)
        super().load()

    def _size_inputs(self) -> None:
        """Return the pipeline's module constants decide what each input costs."""
        from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as sizes

        settings = self._settings
        if settings.vae_image_size is not None:
            sizes.VAE_IMAGE_SIZE = settings.vae_image_size
        if settings.condition_image_size is not None:
            sizes.CONDITION_IMAGE_SIZE = settings.condition_image_size

    def warm_up(self) -> None:
        """See TryonEngine."""
        run_once(self, self._settings)

    def generate(self, job: EngineJob) -> EngineResult:
        """See TryonEngine.

        Raises:
            InputError: A mode that is not the loaded one.
        """
        import torch

        options, pipeline = job.options, self._pipeline
        cfg = options.cfg or GUIDANCE_OFF
        if options.mode != self._settings.default_mode:
            raise InputError(f"mode {options.mode} is not loaded")
        size = floored_size(job.person.size)
        person = resized(job.person, size)

        def on_step(pipe: Any, index: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            # Raising leaves at once; the pipeline's own interrupt flag would decode a picture.
            job.watch.engine_step(index + 1, pipe.num_timesteps)
            return tensors

        try:
            with watched(self._settings.device):
                picture = pipeline(
                    image=[person, flatten(job.garment)],
                    prompt=options.prompt,
                    negative_prompt=NO_PROMPT if cfg > GUIDANCE_OFF else None,
                    true_cfg_scale=cfg,
                    num_inference_steps=options.steps,
                    width=size[0],
                    height=size[1],
                    generator=torch.Generator("cpu").manual_seed(options.seed),
                    callback_on_step_end=on_step,
                ).images[0]
        except CardMemoryError:
            self.clear_cache()
            raise
        except TryonError:
            raise
        except Exception as error:
            self.clear_cache()
            raise PipelineError(f"the pipeline failed with {type(error).__name__}") from error
        finally:
            pipeline.maybe_free_model_hooks()
        return finished(person, picture, self._networks, options)

    def clear_cache(self) -> None:
        """See TryonEngine."""
        give_back()

    def memory_bytes(self) -> int:
        """See TryonEngine."""
        return 0 if self._pipeline is None else reserved_bytes(self._settings.device)

    def unload(self) -> None:
        """See TryonEngine."""
        if self._pipeline is not None:
            self._pipeline = None
            super().unload()
            self.clear_cache()
