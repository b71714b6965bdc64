"""Answers of the gateway's own routes."""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypeAliasType, TypedDict

from gateway.health.state import State
from gateway.http.answers import described

ServiceState = TypeAliasType("ServiceState", State)
OverallState = TypeAliasType(
    "OverallState", Literal["ready", "degraded", "down", "starting", "draining"]
)


@described
class Alive(TypedDict):
    """The process answers."""

    status: Literal["alive"]


@described
class ServiceModel(TypedDict):
    """One model of a service."""

    name: str | None
    """Of the weights, once they are known."""
    task: str
    engine: str | None
    device: str
    triton_model: str
    state: ServiceState
    detail: str | None
    """What is wrong, for a person."""
    canary_ms: float | None


@described
class TritonState(TypedDict):
    """The inference server."""

    live: bool
    version: str | None
    warnings: list[str]
    """What of this server does not fit, for a person."""


@described
class ServiceReadiness(TypedDict):
    """Whether a service takes requests."""

    state: ServiceState
    required: bool
    """Whether the gateway is not ready without it."""
    models: list[ServiceModel]
    urls: list[str]


@described
class Readiness(TypedDict):
    """State of every service."""

    status: OverallState
    triton: TritonState
    services: dict[str, ServiceReadiness]


@described
class ServiceError(TypedDict):
    """A request that failed."""

    time: float
    """Seconds since the epoch."""
    route: str
    status: int
    detail: str


@described
class CallFigure(TypedDict):
    """What a size of call took when the model measured its network."""

    rows: int
    length: int
    """Tokens of each row; 1 where rows have none."""
    in_flight: int
    """Such calls under way at the same time."""
    ms: float
    """Median."""
    fastest_ms: float


@described
class NetworkCalls(TypedDict):
    """How a model calls a network."""

    rows: int
    """Most rows in a call."""
    tokens: int
    """Most padded tokens in a call; 0 where rows have none."""
    in_flight: int
    """Calls under way at the same time."""
    source: Literal["configured", "usual", "measured", "kept"]
    """`kept`: measured at an earlier start on this machine."""
    reason: NotRequired[str]
    """Why the usual values hold, where something was to be measured."""
    figures: list[CallFigure]


@described
class CallingModel(ServiceModel):
    """One model of a service, and how it calls its networks."""

    calls: dict[str, NetworkCalls]
    """By network, once the model has answered."""


@described
class ServiceQueue(TypedDict):
    """Requests in work and waiting."""

    slots: int
    in_flight: int
    waiting: int


@described
class Service(TypedDict):
    """What a service does now; figures of the last `window_s` seconds."""

    name: str
    state: ServiceState
    detail: str | None
    urls: list[str]
    models: list[CallingModel]
    queue: ServiceQueue
    requests_per_second: float
    errors_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    recent_errors: list[ServiceError]
    """Newest first."""


@described
class ServicesReport(TypedDict):
    """What every service does now."""

    timestamp: float
    """Seconds since the epoch."""
    status: OverallState
    window_s: int
    workers: int
    """The figures are those of one of them."""
    triton: TritonState
    services: list[Service]
