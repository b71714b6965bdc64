"""The parameters of config.pbtxt, as settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffusion.placement import PLACEMENTS
from model_settings import flag, installed, number, one_of

ENGINES = ("warp", "diffusers", "lightx2v", "remote")
MODE_DEFAULTS = {"fp8": (4, 1.0), "lora": (4, 1.0), "base": (40, 4.0)}
"""Steps and guidance by mode: the distilled ones take 4 steps without guidance (1.0)."""
PRESETS = {"480p": 480, "720p": 720, "1080p": 1080}
"""Shorter side in pixels."""


@dataclass(frozen=True)
class RemoteServer:
    """The server of the engine `remote`.

    Attributes:
        url: Below which OpenAI's API is, such as http://host:8000/v1; empty: none is configured.
        model: Sent as `model`; empty: not sent.
        key_file: Holds the key alone; None: none is sent.
        ca_file: PEM file of authorities; None: the usual ones.
        attempts: How often a picture is asked for when the server breaks off.
    """

    url: str
    model: str
    key_file: Path | None
    ca_file: Path | None
    attempts: int


@dataclass(frozen=True)
class TryonSettings:
    """What config.pbtxt and the installation say; the attributes are its parameters."""

    engine: str
    body_networks: Path
    model_path: Path | None
    lora_path: Path | None
    quantized_path: Path | None
    remote: RemoteServer
    libraries: Path | None
    model_version: str
    device: str
    dtype: str
    memory_bytes: int
    placement: str
    default_mode: str
    default_steps: int | None
    default_cfg: float | None
    default_seed: int
    default_resolution: str
    enable_teacache: bool
    teacache_thresh: float
    vae_image_size: int | None
    condition_image_size: int | None
    restore: bool
    resize_to_resolution: bool
    maintain_aspect_ratio: bool
    create_comparison: bool
    compress_output: bool
    warmup_on_startup: bool
    clear_cache_between_jobs: bool
    steps_file: Path | None
    max_image_bytes: int
    max_pixels: int
    queue_size: int
    threads: int

    def steps(self, mode: str) -> int | None:
        """Return the steps of a job that says none; None: `remote`'s server decides."""
        own = None if self.engine == "remote" else MODE_DEFAULTS[mode][0]
        return self.default_steps or own

    def cfg(self, mode: str) -> float | None:
        """Return the guidance of a job that says none; 1 is off, None as of `steps`."""
        own = None if self.engine == "remote" else MODE_DEFAULTS[mode][1]
        return own if self.default_cfg is None else self.default_cfg


def read_settings(parameters: Mapping[str, str], folder: Path) -> TryonSettings:
    """Return the settings from `parameters` of the configuration and `settings.json` in `folder`.

    Raises:
        KeyError: A parameter is missing.
        ValueError: A parameter has no sensible value.
    """
    values = {**parameters, **installed(folder)}

    def path(name: str) -> Path | None:
        return folder / values[name] if values[name] else None

    def optional(name: str) -> int | None:
        return number(values, name, 1) if values[name] else None

    return TryonSettings(
        engine=one_of(values, "engine", ENGINES),
        body_networks=folder / values["body_networks"],
        model_path=path("model_path"),
        lora_path=path("lora_path"),
        quantized_path=path("quantized_path"),
        remote=RemoteServer(
            url=values["remote_url"].rstrip("/"),
            model=values["remote_model"],
            key_file=path("remote_key_file"),
            ca_file=path("remote_ca_file"),
            attempts=number(values, "remote_attempts", 1),
        ),
        libraries=path("libraries"),
        model_version=values["model_version"],
        device=values["device"],
        dtype=one_of(values, "dtype", ("bfloat16", "float16", "float32")),
        memory_bytes=round(float(values["memory_gb"]) * 2**30),
        placement=one_of(values, "placement", ("", *PLACEMENTS)),
        default_mode=one_of(values, "default_mode", MODE_DEFAULTS),
        default_steps=optional("default_steps"),
        default_cfg=float(values["default_cfg"]) if values["default_cfg"] else None,
        default_seed=number(values, "default_seed", 0),
        default_resolution=one_of(values, "default_resolution", PRESETS),
        enable_teacache=flag(values, "enable_teacache"),
        teacache_thresh=float(values["teacache_thresh"]),
        vae_image_size=optional("vae_image_size"),
        condition_image_size=optional("condition_image_size"),
        restore=flag(values, "restore") if values["restore"] else values["engine"] != "warp",
        resize_to_resolution=flag(values, "resize_to_resolution"),
        maintain_aspect_ratio=flag(values, "maintain_aspect_ratio"),
        create_comparison=flag(values, "create_comparison"),
        compress_output=flag(values, "compress_output"),
        warmup_on_startup=flag(values, "warmup_on_startup"),
        clear_cache_between_jobs=flag(values, "clear_cache_between_jobs"),
        steps_file=path("steps_file"),
        max_image_bytes=number(values, "max_image_bytes", 1024),
        max_pixels=number(values, "max_pixels", 4096),
        queue_size=number(values, "queue_size", 1),
        threads=number(values, "threads", 0) or min(8, os.cpu_count() or 1),
    )
