"""Loads a Qwen-Image-Edit pipeline part by part, each straight to where it is kept.

Whole in the host's memory first it would be 58 GB there, and its cast to fp8 a CPU's work.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from tryon_errors import PipelineError
from tryon_settings import TryonSettings

from diffusion.placement import BLOCKS, OFFLOAD, RESIDENT, Form, Parts, choose, parts_of

log = logging.getLogger("tryon")

LIGHTNING_SCHEDULER = {
    # Of the LoRA's own documentation (ModelTC/Qwen-Image-Lightning): a constant shift of 3.
    "base_shift": math.log(3),
    "max_shift": math.log(3),
    "shift_terminal": None,
    "use_dynamic_shifting": True,
}


def load_pipeline(settings: TryonSettings) -> Any:
    """Return a pipeline of diffusers that is ready to be called.

    Raises:
        PipelineError: It has no room on the card.
    """
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, QwenImageEditPlusPipeline

    folder, device = str(settings.model_path), torch.device(settings.device)
    form, landing = _form(settings, device)
    log.warning("tryon: keeps %s", form)  # printed, as every line of this log
    transformer = _transformer(settings, form, landing)
    encoder = _text_encoder(settings, device if form.placement == RESIDENT else "cpu")
    pipeline = QwenImageEditPlusPipeline.from_pretrained(
        folder,
        transformer=transformer,
        text_encoder=encoder,
        dtype=getattr(torch, settings.dtype),
        local_files_only=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    if _distilled(settings):
        config = {**pipeline.scheduler.config, **LIGHTNING_SCHEDULER}
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    _keep(pipeline, form, device)
    return pipeline


def _form(settings: TryonSettings, device: Any) -> tuple[Form, Any]:
    """How to keep it, and the device that the transformer lands on.

    With fp8 it lands whole where there is room for that, else the CPU casts it.
    """
    import torch

    fp8 = settings.default_mode == "fp8"
    parts = parts_of(settings.model_path or Path())
    if device.type != "cuda":  # as it is asked for: the host's memory is the operator's to plan
        return Form(settings.placement or RESIDENT, fp8, _host_bytes(parts, fp8)), device
    free, total = torch.cuda.mem_get_info(device)
    try:
        form = choose(
            parts, fp8=fp8, total=total, free=free, budget=settings.memory_bytes,
            placement=settings.placement,
        )  # fmt: skip
    except ValueError as error:
        raise PipelineError(str(error)) from None
    room = min(free, settings.memory_bytes or total)
    lands = form.placement == RESIDENT and (not form.fp8 or parts.transformer < room)
    return form, device if lands else torch.device("cpu")


def _host_bytes(parts: Parts, fp8: bool) -> int:
    return parts.transformer // (2 if fp8 else 1) + parts.encoder + parts.rest


def _transformer(settings: TryonSettings, form: Form, landing: Any) -> Any:
    import torch
    from diffusers import QwenImageTransformer2DModel

    dtype = getattr(torch, settings.dtype)
    transformer = QwenImageTransformer2DModel.from_pretrained(
        str(settings.model_path),
        subfolder="transformer",
        dtype=dtype,
        device_map={"": landing},
        local_files_only=True,
    )
    if settings.lora_path is not None and _distilled(settings):
        _fuse(transformer, settings.lora_path)
    if form.fp8:
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    return transformer


def _distilled(settings: TryonSettings) -> bool:
    return settings.default_mode != "base"  # the engine has checked that the LoRA is named


def _fuse(transformer: Any, file: Path) -> None:
    """Add the LoRA to the weights, before they are cast: by a pipeline of nothing else."""
    from diffusers import QwenImageEditPlusPipeline

    others = ("scheduler", "vae", "text_encoder", "tokenizer", "processor")
    pipeline = QwenImageEditPlusPipeline(transformer=transformer, **dict.fromkeys(others))
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, local_files_only=True)
    pipeline.fuse_lora(components=["transformer"])
    pipeline.unload_lora_weights()


def _text_encoder(settings: TryonSettings, device: Any) -> Any:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    return Qwen2_5_VLForConditionalGeneration.from_pretrained(
        str(settings.model_path),
        subfolder="text_encoder",
        dtype=getattr(torch, settings.dtype),
        device_map={"": device},
        local_files_only=True,
    )


def _keep(pipeline: Any, form: Form, device: Any) -> None:
    if form.placement == OFFLOAD:
        pipeline.enable_model_cpu_offload(device=device)
    elif form.placement == BLOCKS:
        pipeline.enable_group_offload(
            onload_device=device,
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=device.type == "cuda",  # the next block arrives while one computes
        )
    else:
        pipeline.to(device)  # the VAE; the others are there
