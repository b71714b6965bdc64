"""Keeps libraries from reporting to their makers.

ONNX Runtime's wheel sends process and model facts under a device's id that it keeps, and `import
openvino` asks Google Analytics. A service that sees faces sends nothing to anybody.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

SILENT: Mapping[str, str] = MappingProxyType(
    {
        "ORT_DISABLE_TELEMETRY": "1",  # read when the library is loaded
        "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, transformers, diffusers
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",  # the convention; vLLM and huggingface_hub heed it, too
    }
)
"""What must be in the environment of every process that may load such a library: Triton and its
models, exports, images (the Dockerfiles repeat it), tests."""
ABSENT = ("openvino_telemetry",)
"""Modules that only report; who imports them has a stub for where they are missing. They have no
switch in the environment."""


def silence_libraries() -> None:
    """Silences them in this process and its children; call it before they are imported."""
    os.environ.update(SILENT)
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's word for "none"
