"""Chooses the profile: which `configs/<profile>.pbtxt` the models use."""

from __future__ import annotations

import json
from pathlib import Path

from launcher.errors import LauncherError

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Flags of /proc/cpuinfo of CPUs that multiply in bfloat16."""
VERDICT = Path("sentence_encoder/1/openvino.json")
"""Written by the exporter: how close the bfloat16 embeddings are to fp32."""


def choose_profile(wanted: str, repository: Path, *, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the profile that the embedded server is started with.

    Args:
        wanted: `embedded.profile`: a name, or "auto": openvino where the CPU computes in bfloat16
            and the exported encoder passed the cosine rule, else default.
        repository: Model repository.
        cpuinfo: What the kernel says of the CPU.

    Raises:
        LauncherError: The profile cannot be served here.
    """
    if wanted == "tensorrt":
        raise LauncherError(
            "embedded.profile is tensorrt, which would load whatever plans lie there: set "
            "triton.use_plans: true, which takes those that are this machine's"
        )
    if wanted != "auto":
        return wanted
    return "openvino" if _has_bf16(cpuinfo) and _passed(repository / VERDICT) else "default"


def _has_bf16(cpuinfo: Path) -> bool:
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def _passed(verdict: Path) -> bool:
    try:
        content = json.loads(verdict.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("ok") is True
