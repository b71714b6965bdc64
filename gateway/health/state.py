"""What is known about each service: the words of `/readyz` and of the start-up table."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import UnavailableError
from gateway.triton.status import ModelDeadError, ServerGoneError

State = Literal["loading", "ready", "down", "missing"]
TRITON_AWAY = "Triton does not answer"


class StillLoadingError(UnavailableError):
    """A model answers, but is not ready for work yet: no fault, and no reason to reload it.

    Attributes:
        why: why not, in words for the operator.
    """

    def __init__(self, why: str | None = None) -> None:
        super().__init__()
        self.why = why or "loads its weights"


@dataclass
class ModelState:
    """One catalogue entry of a service and the Triton models behind it.

    Attributes:
        task: what it does, e.g. ``embed``.
        needs: models it calls, loaded before it.
        name: identity of the weights as the model itself reports it.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        doubted: when it last lost an inference; a canary that began before proves nothing.
    """

    task: str
    triton_model: str
    needs: tuple[str, ...]
    name: str = ""
    engine: str = ""
    device: str = "cpu"
    info: dict[str, Any] = field(default_factory=dict)
    state: State = "loading"
    detail: str | None = None
    canary_seconds: float | None = None
    last_success: float = 0.0
    late: int = 0
    reloads: int = 0
    last_reload: float = 0.0
    healthy_since: float = 0.0
    doubted: float = 0.0

    def succeeded(self) -> None:
        """Note that an inference has just worked."""
        self.last_success = time.monotonic()

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``/readyz``."""
        return {
            "name": self.name or None,
            "task": self.task,
            "engine": self.engine or None,
            "device": self.device,
            "triton_model": self.triton_model,
            "state": self.state,
            "detail": self.detail,
            "canary_ms": None
            if self.canary_seconds is None
            else round(self.canary_seconds * 1e3, 2),
        }


def worst(states: list[ModelState]) -> State:
    """Return the state of a service made of these models."""
    for state in ("missing", "down", "loading"):
        if any(model.state == state for model in states):
            return state
    return "ready"


def readiness(
    services: Mapping[str, list[ModelState]], optional: Collection[str]
) -> dict[str, Any]:
    """Return ``status`` and ``services`` of ``/readyz``.

    Args:
        services: models by service.
        optional: services whose failure leaves the whole ``degraded``.
    """
    states = {name: worst(models) for name, models in services.items()}
    required = [state for name, state in states.items() if name not in optional]
    if all(state == "ready" for state in states.values()):
        status = "ready"
    elif all(state == "ready" for state in required):
        status = "degraded"
    elif all(state in ("ready", "loading") for state in required):
        status = "starting"
    else:
        status = "down"
    described = {
        name: {
            "state": states[name],
            "required": name not in optional,
            "models": [model.as_json() for model in models],
        }
        for name, models in services.items()
    }
    return {"status": status, "services": described}


def why(error: UnavailableError) -> str:
    """Return in words why a model is not ready after an inference that ended so."""
    if isinstance(error, ModelDeadError):
        return "a process of the model died"
    return TRITON_AWAY if isinstance(error, ServerGoneError) else "it was unavailable"
