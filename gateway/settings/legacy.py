"""Environment variables of the replaced servers, and where they live in the tree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.settings.old_files import is_tryon_file

TEXT = {
    "API_KEY": ("text", "api_key"),
    "TORCH_DEVICE": ("text", "device"),
    "MODEL_BERTSCORE": ("text", "bertscore_model"),
    "MODEL_EMBED": ("text", "embed_model"),
    "GPU_MAX_CONCURRENT": ("text", "max_concurrent"),
    "GPU_EMBED_BATCH": ("text", "embed_chunk"),
    "GPU_MAX_BATCH_SIZE": ("text", "max_batch_size"),
    "GPU_MAX_TEXT_LENGTH": ("text", "max_text_length"),
}
IOT = {
    "FASTAPI_PORT": ("iot", "port"),
    "ROOT_PATH": ("iot", "root_path"),
    "ALLOWED_ORIGINS": ("iot", "cors_origins"),
    "LOG_LEVEL": ("telemetry", "log_level"),
    "LOG_JSON": ("telemetry", "log_format"),
}
VISION = {  # which the old server read in any case
    "GAVID_DEVICE": ("vision", "device"),
    "GAVID_MODEL_TORCH_WEIGHTS": ("vision", "classifier", "weights"),
    "GAVID_METRICS_UPDATE_INTERVAL_S": ("telemetry", "gpu", "interval_seconds"),
    "GAVID_DCGM_FIELD_IDS": ("telemetry", "gpu", "dcgm_field_ids"),
}
TRYON = {  # of the start script
    "GPU_NODE_ID": ("tryon", "server", "node_id"),
    "INCOMING_AUTH_TOKEN": ("tryon", "security", "internal_auth_token"),
    "RESULT_CALLBACK_URL": ("tryon", "asset_service", "callback_url"),
    "RESULT_CALLBACK_AUTH_TOKEN": ("tryon", "asset_service", "internal_auth_token"),
    "JOB_COMPLETE_CALLBACK_URL": ("tryon", "load_balancer", "url"),
    "LOAD_BALANCER_AUTH_TOKEN": ("tryon", "load_balancer", "internal_auth_token"),
}
TRYON_FILE = "CONFIG_PATH"
"""Names the try-on server's config.yaml. The face server had a variable of that name as well, so
only a file with sections of the try-on server counts; a missing one is no error, as it was."""
LEGACY = {**TEXT, **IOT, **VISION, **TRYON}


_SWITCH = {
    **dict.fromkeys(("true", "1", "yes", "on"), "json"),
    **dict.fromkeys(("false", "0", "no", "off"), "text"),
}
_LEVEL = {"TRACE": "DEBUG", "WARN": "WARNING", "CRITICAL": "ERROR", "FATAL": "ERROR"}


def _level(value: str) -> str:
    level = value.strip().upper()
    return _LEVEL.get(level, level)


def _root_path(value: str) -> str:
    parts = value.strip().strip("/")
    return f"/{parts}" if parts else ""


_READ: dict[str, Callable[[str], Any]] = {
    "ALLOWED_ORIGINS": lambda value: [name.strip() for name in value.split(",") if name.strip()],
    "LOG_LEVEL": _level,
    "LOG_JSON": lambda value: _SWITCH.get(value.strip().lower(), value),
    "ROOT_PATH": _root_path,
}
"""How the old servers wrote what is written otherwise here; what cannot be is refused later."""


def legacy_values(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the tree that old environment variables set; empty values mean unset."""
    values: dict[str, Any] = {}
    in_any_case = {name.upper(): value for name, value in environ.items()}
    for variable, (*sections, field) in LEGACY.items():
        source = in_any_case if variable in VISION else environ
        if value := source.get(variable, ""):
            target = values
            for section in sections:
                target = target.setdefault(section, {})
            target[field] = _READ.get(variable, str)(value)
    if (file := environ.get(TRYON_FILE, "")) and is_tryon_file(Path(file)):
        values.setdefault("tryon", {})["config"] = file
    if "embed_chunk" in values.get("text", {}):
        # The old server took any integer and raised it to 1; Triton's batch is 128 at most.
        chunk = values["text"]["embed_chunk"]
        with contextlib.suppress(ValueError):  # no integer: said where it is checked
            values["text"]["embed_chunk"] = min(max(1, int(chunk)), 128)
    return values
