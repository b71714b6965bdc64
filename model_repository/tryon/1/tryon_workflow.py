"""An ordered, editable list of steps that a job goes through."""

from __future__ import annotations

import runpy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from tryon_errors import PipelineError, TryonError, WorkflowEditError
from tryon_progress import JobWatch
from tryon_request import JobOptions


@dataclass
class JobContext:
    """What a job has so far; steps read and change it.

    Attributes:
        options: What the job asks for.
        watch: Tells progress, and raises when the job is cancelled or late.
        person: File at first; see `person_picture`.
        garment: File at first.
        person_picture: RGB.
        garment_picture: RGB or RGBA.
        result: RGB, after Inference.
        samples: The further pictures of a job that wants several.
        image: File of the result, after CollectResult.
        sample_images: Files of `samples`.
        comparison: File with person, garment and result, where asked for.
        report: What the answer says about the job.
        step_ms: Milliseconds by name of the step.
        extras: For steps of one's own.
    """

    options: JobOptions
    watch: JobWatch
    person: bytes = b""
    garment: bytes = b""
    person_picture: Image.Image | None = None
    garment_picture: Image.Image | None = None
    result: Image.Image | None = None
    samples: list[Image.Image] = field(default_factory=list)
    image: bytes = b""
    sample_images: list[bytes] = field(default_factory=list)
    comparison: bytes | None = None
    report: dict[str, Any] = field(default_factory=dict)
    step_ms: dict[str, float] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)


class WorkflowStep:
    """One step; give it a `name`, unique in its workflow, and `execute`.

    Attributes:
        name: Told in errors, timings and progress.
        weight: Share of the job's time, for the progress.
    """

    name = ""
    weight = 1.0

    def execute(self, context: JobContext) -> JobContext:
        """Do the step's work and return the context for the next step.

        Raises:
            TryonError: The job cannot go on. Any other exception becomes a PipelineError.
        """
        raise NotImplementedError


class TryonWorkflow:
    """Steps in their order."""

    def __init__(self, steps: list[WorkflowStep]) -> None:
        self._steps: list[WorkflowStep] = []
        for step in steps:
            self._checked(step)
            self._steps.append(step)

    def __iter__(self) -> Iterator[WorkflowStep]:
        return iter(self._steps)

    @property
    def names(self) -> list[str]:
        """Names of the steps, in order."""
        return [step.name for step in self._steps]

    def insert_step(
        self, step: WorkflowStep, *, before: str | None = None, after: str | None = None
    ) -> None:
        """Put a step beside another one, or last when neither is named.

        Raises:
            WorkflowEditError: The neighbour does not exist, both are named, or the step is none or
                has the name of another one.
        """
        if before is not None and after is not None:
            raise WorkflowEditError("name one neighbour: before or after")
        self._checked(step)
        if before is not None:
            self._steps.insert(self._place(before), step)
        elif after is not None:
            self._steps.insert(self._place(after) + 1, step)
        else:
            self._steps.append(step)

    def remove_step(self, name: str) -> WorkflowStep:
        """Take a step out and return it.

        Raises:
            WorkflowEditError: There is none of that name.
        """
        return self._steps.pop(self._place(name))

    def replace_step(self, name: str, step: WorkflowStep) -> WorkflowStep:
        """Put a step in the place of another one, which is returned.

        Raises:
            WorkflowEditError: There is none of that name, or the new one's name is taken.
        """
        place = self._place(name)
        self._checked(step, instead_of=name)
        old, self._steps[place] = self._steps[place], step
        return old

    def run(self, context: JobContext) -> JobContext:
        """Take a job through the steps.

        Raises:
            TryonError: With the name of the step that failed.
        """
        total, done = sum(step.weight for step in self._steps), 0.0
        for step in self._steps:
            context.watch.enter(step.name, done / total, step.weight / total)
            begin = time.perf_counter()
            try:
                context.watch.check()
                context = step.execute(context)
                if not isinstance(context, JobContext):
                    raise PipelineError("the step returned no context")
            except TryonError as error:
                error.step = error.step or step.name
                raise
            except Exception as error:
                failure = PipelineError(f"failed with {type(error).__name__}")
                failure.step = step.name
                raise failure from error
            context.step_ms[step.name] = round((time.perf_counter() - begin) * 1e3, 3)
            done += step.weight
        return context

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise WorkflowEditError(f"no step {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    def _checked(self, step: WorkflowStep, instead_of: str | None = None) -> None:
        if not isinstance(step, WorkflowStep):
            raise WorkflowEditError(f"{type(step).__name__} is no WorkflowStep")
        if not step.name.isidentifier() or not step.name[:1].isupper() or len(step.name) > 64:
            raise WorkflowEditError(f"{type(step).__name__} needs a name like ResizeImages")
        if step.name in self.names and step.name != instead_of:
            raise WorkflowEditError(f"there is a step {step.name!r} already")


def edit_by_file(workflow: TryonWorkflow, file: Path) -> None:
    """Lets a user's Python file edit the workflow: its function `edit` is called with it.

    Raises:
        WorkflowEditError: The file cannot be read or run, has no `edit`, or that fails; the message
            tells the file's name and the error.
    """
    try:
        edit = runpy.run_path(str(file)).get("edit")
    except Exception as error:
        raise WorkflowEditError(f"{file.name}: {type(error).__name__}: {error}") from error
    if not callable(edit):
        raise WorkflowEditError(f"{file.name} defines no function edit(workflow)")
    try:
        edit(workflow)
    except Exception as error:
        raise WorkflowEditError(f"{file.name}: {type(error).__name__}: {error}") from error
