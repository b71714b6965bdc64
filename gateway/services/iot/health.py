"""`/iot/health`, `/api/health` and `/iot/models`: the documented bodies with real states."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from gateway.services.iot.service import IotService

_LOADED = {"ready": "loaded", "loading": "loading", "missing": "missing", "down": "down"}


def health(service: IotService, gpu: bool) -> tuple[int, dict[str, Any]]:
    """Return status code and body of the health routes; 503 while faces cannot be vectorised."""
    embedding, emotions = service.faces.model.state, service.emotions.model.state
    story = service.emotions.vlm
    states = {model.state for model in service.models}
    ready = embedding == "ready"
    status = "healthy" if states == {"ready"} else "degraded" if ready else "unhealthy"
    body = {
        "status": status,
        "gpu": "available" if gpu else "unavailable",
        "models": {
            "embedding": _LOADED[embedding],
            "vlm": "not_configured" if story is None else _LOADED[story.state],
            "emotions": _LOADED[emotions],
        },
    }
    return 200 if ready else 503, body


def models(service: IotService, gpu: bool) -> dict[str, Any]:
    """Return the body of `/iot/models`."""
    faces, emotions = service.faces.model, service.emotions.model
    told_by = service.emotions.vlm or emotions
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "status": "ok",
        "timestamp": now,
        "models": {
            "embedding": {
                "status": "ready" if faces.state == "ready" else "not_ready",
                "model": faces.name or faces.triton_model,
                "engine": faces.engine or None,
            },
            "emotion": {
                "status": "ready" if told_by.state == "ready" else "not_ready",
                "backend": "vllm" if service.emotions.vlm else "expression-timeline",
                "model": told_by.name or told_by.triton_model,
            },
        },
        "gpu_available": gpu,
    }
