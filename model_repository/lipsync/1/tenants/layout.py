"""How weights lie in a blob, and on which machines that is right."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

FORMAT = 2
"""Of blob and manifest; raised when they change."""
ALIGNMENT = 64
"""Bytes; ONNX Runtime's kernels read aligned vectors."""
BLOCKED = "blocked"
"""FP32 in the blocked order of ONNX Runtime's CPU kernels."""
HALF = "half"
"""FP16 in the order of the ONNX file, for GPUs."""
DTYPES: dict[str, np.dtype[Any]] = {BLOCKED: np.dtype(np.float32), HALF: np.dtype(np.float16)}


def layout_key(layout: str) -> str:
    """Return what must be equal where a blob is made and where it is used.

    ONNX Runtime chooses the block size by the vector unit, and may change the order with any
    version; half-precision weights are in ONNX's own order.
    """
    key = f"{FORMAT}/{layout}/{DTYPES[layout].name}"
    if layout == HALF:
        key += "/golden"  # with the output of the golden frame behind the weights
    if layout == BLOCKED:
        key += f"/onnxruntime-{ort.__version__}/{platform.machine()}-{vector_unit()}"
    return key


def vector_unit(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the widest vectors that ONNX Runtime's blocked kernels use here."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return next((name for name in ("avx512f", "avx2", "avx") if name in flags), "none")
