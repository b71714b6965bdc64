"""The parameters of the model `vlm`'s config.pbtxt, as limits and as arguments of vLLM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_settings import flag
from vlm_request import Limits


@dataclass(frozen=True)
class Settings:
    """What config.pbtxt says.

    Attributes:
        model: Name on the hub, or path of a folder.
        local: Whether it is a folder.
        name: What clients are told it is; of a folder only its name.
        source: Origin and licence of the weights.
        limits: Of a request.
        max_requests: Requests taken in at a time.
        start_seconds: How long the engine may take to start.
        arguments: Of vLLM's AsyncEngineArgs.
    """

    model: str
    local: bool
    name: str
    source: str
    limits: Limits
    max_requests: int
    start_seconds: int
    arguments: dict[str, Any]


def read_settings(parameters: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings from `parameters` (name to text) of the model in `folder`.

    Raises:
        KeyError: A parameter is missing.
        ValueError: A parameter has no sensible value.
    """
    checkpoint = folder / parameters["model"]  # an absolute path stays what it is
    local = checkpoint.is_dir()
    limits = Limits(
        frames=int(parameters["max_frames"]),
        side=int(parameters["max_side"]),
        tokens=int(parameters["max_tokens"]),
        thinking=int(parameters["thinking_budget"]),
        seconds=float(parameters["deadline_seconds"]),
        images=int(parameters["max_images"]),
        videos=int(parameters["max_videos"]),
    )
    options = json.loads(parameters["engine_options"])
    if not isinstance(options, dict):
        raise ValueError("engine_options is not a JSON object")
    model = str(checkpoint.resolve()) if local else parameters["model"]
    return Settings(
        model=model,
        local=local,
        name=Path(model).name if local else model,
        source=parameters["source"],
        limits=limits,
        max_requests=int(parameters["max_requests"]),
        start_seconds=int(parameters["start_seconds"]),
        arguments={**_arguments(model, parameters, limits), **options},
    )


def _arguments(model: str, parameters: Mapping[str, str], limits: Limits) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": model,
        "dtype": parameters["dtype"],
        "gpu_memory_utilization": float(parameters["memory_fraction"]),
        "max_model_len": int(parameters["max_model_len"]),
        "max_num_batched_tokens": int(parameters["max_num_batched_tokens"]),
        "max_num_seqs": int(parameters["max_num_seqs"]),
        "enforce_eager": flag(parameters, "enforce_eager"),
        "tensor_parallel_size": int(parameters["tensor_parallel_size"]),
        # The sizes bound the memory that vLLM reserves for the vision part.
        "limit_mm_per_prompt": {
            "video": {
                "count": limits.videos,
                "num_frames": limits.frames,
                "width": limits.side,
                "height": limits.side,
            },
            "image": {"count": limits.images, "width": limits.side, "height": limits.side},
        },
        "mm_processor_kwargs": {"do_sample_frames": False},  # they are sampled already
        "disable_log_stats": False,
        "enable_log_requests": False,
        # Clips do not repeat, and nothing of one may stay for the next.
        "mm_processor_cache_gb": 0,
        "enable_prefix_caching": False,
    }
    if parameters["reasoning_parser"]:
        arguments["reasoning_parser"] = parameters["reasoning_parser"]
    return arguments
