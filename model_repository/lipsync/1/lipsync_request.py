"""What a request of the model `lipsync` says, checked; plain functions, without Triton."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from frames.pixels import AUDIO_SHAPE, IMAGE_CHANNELS, NETWORK_CHANNELS, SIDE
from lipsync_errors import RefusedError
from numpy.typing import NDArray

FRAMES = {
    "FRAMES_FP32": np.dtype(np.float32),
    "FRAMES_FP16": np.dtype(np.float16),
    "FRAMES_UINT8": np.dtype(np.uint8),
}
"""Inputs of which a request has one."""
MOUTHS: dict[str, np.dtype[Any]] = {
    "MOUTH_FP32": np.dtype(np.float32),
    "MOUTH_FP16": np.dtype(np.float16),
    "MOUTH_UINT8": np.dtype(np.uint8),
}
"""Outputs of which one is made."""
OPERATIONS = ("load", "unload", "stats")
MAX_TEXT = 4096
"""Bytes of a command, and of a path in it."""


@dataclass(frozen=True)
class Command:
    """What a control request wants.

    Attributes:
        op: One of OPERATIONS.
        tenant: Id; empty for stats.
        path: Absolute path of the tenant's ONNX file, for load.
        force: Load it again when it is loaded.
    """

    op: str
    tenant: str = ""
    path: str = ""
    force: bool = False


def parse_command(text: bytes) -> Command:
    """Read the JSON object in COMMAND.

    Raises:
        RefusedError: command_invalid.
    """
    try:
        command = json.loads(text) if len(text) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        command = None
    if not isinstance(command, dict) or command.get("op") not in OPERATIONS:
        raise RefusedError("command_invalid", f"COMMAND must be JSON with an op of {OPERATIONS}")
    op, tenant, path = command["op"], command.get("tenant", ""), command.get("path", "")
    force = command.get("force", False)
    if not isinstance(tenant, str) or not isinstance(path, str) or not isinstance(force, bool):
        raise RefusedError("command_invalid", "tenant and path are texts, force is true or false")
    if op != "stats" and not tenant:
        raise RefusedError("command_invalid", f"{op} needs a tenant")
    if op == "load" and (not os.path.isabs(path) or "\0" in path):
        raise RefusedError("command_invalid", "load needs an absolute path")
    return Command(op, tenant, path, force)


def check_tenant(raw: bytes | None) -> str:
    """Return the tenant's id.

    Raises:
        RefusedError: command_invalid: there is none, or it is no UTF-8.
    """
    try:
        tenant = (raw or b"").decode()
    except UnicodeDecodeError:
        tenant = ""
    if not tenant:
        raise RefusedError("command_invalid", "TENANT is missing or not UTF-8")
    return tenant


def check_frames(arrays: Mapping[str, NDArray[Any]], limit: int) -> NDArray[Any]:
    """Return the one input of FRAMES that a request has.

    Args:
        arrays: Those inputs that are there.
        limit: Most frames.

    Raises:
        RefusedError: frames_invalid.
    """
    if len(arrays) != 1:
        raise RefusedError("frames_invalid", f"exactly one of {', '.join(FRAMES)} is needed")
    (frames,) = arrays.values()
    shape = frames.shape
    if (
        len(shape) != 4
        or shape[1] not in (IMAGE_CHANNELS, NETWORK_CHANNELS)
        or shape[2:] != (SIDE, SIDE)
    ):
        raise RefusedError("frames_invalid", f"{list(shape)} is not [n, 6 or 3, {SIDE}, {SIDE}]")
    if not 1 <= shape[0] <= limit:
        raise RefusedError("frames_invalid", f"{shape[0]} frames, 1 to {limit} are allowed")
    return frames


def check_due(due: NDArray[Any] | None) -> tuple[float, float]:
    """Return the seconds until the first frame is due, infinite without any, and between two.

    Raises:
        RefusedError: frames_invalid.
    """
    if due is None:
        return math.inf, 0.0
    if due.shape != (2,) or not np.isfinite(due).all() or due[1] < 0:
        raise RefusedError("frames_invalid", "DUE must be two numbers of milliseconds")
    return float(due[0]) / 1e3, float(due[1]) / 1e3


def check_audio(audio: NDArray[Any] | None, frames: int) -> NDArray[Any]:
    """Return the audio features, one block for all frames or one for each.

    Raises:
        RefusedError: audio_invalid.
    """
    if audio is None:
        raise RefusedError("audio_invalid", "AUDIO is missing")
    if audio.shape[1:] != AUDIO_SHAPE or audio.shape[0] not in (1, frames):
        wanted = f"[1 or {frames}, {', '.join(map(str, AUDIO_SHAPE))}]"
        raise RefusedError("audio_invalid", f"{list(audio.shape)} is not {wanted}")
    return audio


def mouth_output(requested: Collection[str]) -> str:
    """Return the output to make: the first of MOUTHS that is asked for."""
    return next((name for name in MOUTHS if name in requested), "MOUTH_FP32")
