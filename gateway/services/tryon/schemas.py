"""Forms and answers of the try-on API, as its document tells them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from gateway.http.answers import Binary, described
from gateway.services.tryon.forms import PROVIDERS, InferFields, JobId, TryonFields
from gateway.services.tryon.jobs.models import DeliveryState, Destination, State

JobState = TypeAliasType("JobState", State)
JobIdInPath = Annotated[str, Field(min_length=1, max_length=512)]


class TryonForm(TryonFields):
    """A job: who it is for, what it is told, and its pictures."""

    job_id: Annotated[JobId, Field(json_schema_extra={"pattern": r"^[^/\x00-\x1f\x7f-\x9f]+$"})]
    provider: Annotated[str, Field(json_schema_extra={"enum": list(PROVIDERS)})]
    config: Annotated[
        str,
        Field(
            description="A JSON object; every key is optional.",
            json_schema_extra={"contentMediaType": "application/json"},
        ),
    ] = "{}"
    masked_user_image: Binary
    garment_image: Binary


class InferForm(InferFields):
    """What the answer at once is told, and its pictures."""

    masked_user_image: Binary
    garment_image: Binary


@described
class TryonHealth(TypedDict):
    """The server answers."""

    status: Literal["ok"]
    model_loaded: bool
    node_id: str


@described
class TryonTest(TypedDict):
    """`hot` when jobs will be taken."""

    status: Literal["hot", "loading"]
    model_loaded: bool
    node_id: str
    model_type: str | None
    detail: NotRequired[str | None]
    """Why it is not hot."""


@described
class TryonGpuStatus(TypedDict):
    """What the node does, and how many jobs wait."""

    node_id: str
    busy: bool
    current_job_id: str | None
    queue_length: int


@described
class TryonVersion(TypedDict):
    """Model, engine and build."""

    model_type: str
    model_version: str
    backend: str
    """The engine that runs."""
    git_commit: str
    node_id: str


@described
class TryonFigures(TypedDict):
    """Counts since the start of the process."""

    vton_inference_count: int
    vton_inference_latency_ms: float
    vton_inference_errors_total: int
    gpu_memory_used_bytes: int
    gpu_utilization_percent: float


@described
class TryonAccepted(TypedDict):
    """A job that was taken, or was known already."""

    status: Literal["accepted"]
    job_id: str
    message: str


@described
class TryonBusy(TypedDict):
    """There is no room for a job now."""

    status: Literal["busy"]
    message: str
    retry_after: int
    """Seconds."""


@described
class JobCallback(TypedDict):
    """The delivery of a job's outcome to one receiver; moments in seconds since the epoch."""

    destination: Destination
    event_id: str
    """The same in every attempt."""
    state: DeliveryState
    attempts: int
    next_attempt: float | None
    last_status: int | None
    """HTTP status of the last answer, null before the first one."""


@described
class JobError(TypedDict):
    """Why a job failed."""

    code: str
    step: str | None
    """Step of the workflow, such as `Inference`."""
    detail: str | None


@described
class TryonJob(TypedDict):
    """One try-on job; moments in seconds since the epoch, null before they have come."""

    job_id: str
    state: JobState
    progress: float
    """0 to 1."""
    step: str | None
    position: int | None
    """Jobs before it in the queue."""
    created: float
    started: float | None
    finished: float | None
    attempts: int
    node_id: str
    provider: str
    inference_time_ms: int | None
    step_ms: dict[str, float] | None
    """Milliseconds by step."""
    seed: int | None
    steps: int | None
    cfg: float | None
    num_samples: int
    """Pictures that were asked for, or made."""
    width: int | None
    """Pixels of the picture that was made."""
    height: int | None
    mode: str | None
    engine: str | None
    model: str | None
    photorealistic: bool | None
    restored: bool | None
    ignored: list[str]
    """Options that the engine has no use for."""
    cancelling: bool
    """Whether somebody has asked to cancel it while it runs."""
    error: JobError | None
    callbacks: list[JobCallback]
    result: str | None
    """Path of the picture, once there is one."""
    results: list[str]
    """Paths of all pictures of the job; the first is `result`."""
    expires: float | None


@described
class TryonJobPage(TypedDict):
    """Jobs, newest first."""

    jobs: list[TryonJob]
    next: str | None
    """Where the next page begins; null on the last one."""
    counts: dict[JobState, int]
    """Jobs by state; states of none are left out."""


@described
class JobCancelled(TypedDict):
    """A job that was asked to end."""

    job_id: str
    state: JobState
