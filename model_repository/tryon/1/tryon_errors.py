"""Why a try-on job fails: one of six codes and, inside the workflow, the step's name."""

from __future__ import annotations


class TryonError(Exception):
    """A job or the model cannot go on.

    Attributes:
        code: One of input, pose, garment, pipeline, cancelled, timeout.
        words: For the operator; without paths and clients' data.
        step: Name of the failed step, None outside the workflow.
    """

    code = "pipeline"

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words
        self.step: str | None = None

    def __str__(self) -> str:
        where = f"{self.code}:{self.step}" if self.step else self.code
        return f"{where}: {self.words}"


class InputError(TryonError):
    """A file or an option is unusable."""

    code = "input"


class PoseError(TryonError):
    """The person does not show what the engine needs: shoulders and hips, from the front."""

    code = "pose"


class GarmentError(TryonError):
    """No garment can be cut out."""

    code = "garment"


class PipelineError(TryonError):
    """The engine or a step failed."""

    code = "pipeline"


class CardMemoryError(PipelineError):
    """The card has too little memory for this picture, or for the engine."""

    def __init__(self) -> None:
        super().__init__("out of memory: a lower resolution needs less")


class JobCancelledError(TryonError):
    """The client has gone or has cancelled the job."""

    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("cancelled")


class JobTimeoutError(TryonError):
    """The job's deadline is over."""

    code = "timeout"

    def __init__(self) -> None:
        super().__init__("the deadline has passed")


class QueueFullError(Exception):
    """As many jobs as allowed are waiting."""


class WorkflowEditError(Exception):
    """A step cannot be inserted, removed or replaced, or a steps file is unusable."""
