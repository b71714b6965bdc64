"""What the end of a run means for its job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.errors import BusyError, ClientGoneError, DeadlineError, GatewayError, UnavailableError
from gateway.services.tryon.jobs.inference import TryOn
from gateway.services.tryon.jobs.models import JobError, State
from gateway.triton.status import WorkflowError

WORDS = {
    "input": "A picture or an option cannot be used",
    "pose": "No person with visible shoulders and hips was found",
    "garment": "No garment was found in the garment picture",
    "pipeline": "The try-on failed",
    "cancelled": "The job was cancelled",
    "timeout": "The job took longer than its deadline",
}
"""What clients and receivers read, by code."""


class Lost(Exception):
    """The job cannot be run: its files are gone, or it was started too often."""


@dataclass(frozen=True)
class RunOutcome:
    """What to write down.

    Attributes:
        state: the job's next one; without meaning when it is queued again.
        again: not None: queue it again; whether the attempt counts.
    """

    state: State
    result: TryOn | None = None
    reason: JobError | None = None
    again: bool | None = None


def outcome_of(run: asyncio.Task[TryOn], cancelled: bool, *, final: bool) -> RunOutcome:
    """Return the ending of a finished run.

    Args:
        run: the finished task.
        cancelled: whether somebody asked for its cancellation; otherwise the gateway stops.
        final: whether this was the last attempt.
    """
    if run.cancelled():
        if cancelled:
            return RunOutcome("cancelled", reason=JobError("cancelled"))
        return RunOutcome("queued", again=False)
    error = run.exception()
    if error is None:
        return RunOutcome("delivering", result=run.result())
    if isinstance(error, WorkflowError):
        if error.code == "cancelled":  # by the model itself: it is being unloaded
            return _lost(final)
        return RunOutcome("failed", reason=JobError(error.code, error.step))
    if isinstance(error, BusyError):
        return RunOutcome("queued", again=False)
    if isinstance(error, UnavailableError | ClientGoneError):
        return _lost(final)
    code = code_of(error) if isinstance(error, GatewayError) else "pipeline"
    return RunOutcome("failed", reason=JobError(code))


def code_of(error: GatewayError) -> str:
    """Return the code of the error that ended a run."""
    if isinstance(error, WorkflowError):
        return error.code
    return "timeout" if isinstance(error, DeadlineError) else "pipeline"


def words(error: JobError) -> str:
    """Return what a receiver reads about an error: the code, the step, words."""
    step = f" ({error.step})" if error.step else ""
    return f"{error.code}: {WORDS.get(error.code, WORDS['pipeline'])}{step}"


def _lost(final: bool) -> RunOutcome:
    """Decide on a job whose model went away, which is not its fault until it happens again."""
    if final:
        return RunOutcome("failed", reason=JobError("pipeline"))
    return RunOutcome("queued", again=True)
