"""Environment variables of the replaced servers, and where they live in the tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT = {
    "API_KEY": "api_key",
    "TORCH_DEVICE": "device",
    "MODEL_BERTSCORE": "bertscore_model",
    "MODEL_EMBED": "embed_model",
    "GPU_MAX_CONCURRENT": "max_concurrent",
    "GPU_EMBED_BATCH": "embed_chunk",
    "GPU_MAX_BATCH_SIZE": "max_batch_size",
    "GPU_MAX_TEXT_LENGTH": "max_text_length",
}
LEGACY = {"text": TEXT}


def legacy_values(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the sections that old environment variables set; empty values mean unset."""
    found: dict[str, dict[str, Any]] = {}
    for section, names in LEGACY.items():
        for variable, field in names.items():
            if value := environ.get(variable, ""):
                found.setdefault(section, {})[field] = value
    if "embed_chunk" in found.get("text", {}):
        # The old server took any integer and raised it to 1; Triton's batch is 128 at most.
        chunk = found["text"]["embed_chunk"]
        if chunk.lstrip("-").isdigit():
            found["text"]["embed_chunk"] = min(max(1, int(chunk)), 128)
    return found
