"""Pentad's own steps: PrepareInputs, ResizeImages, Inference, CollectResult, ClearGPUCache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tryon_images as images
from tryon_engine import EngineJob, EngineResult, TryonEngine
from tryon_errors import InputError, PipelineError
from tryon_request import SEEDS
from tryon_settings import TryonSettings
from tryon_workflow import JobContext, TryonWorkflow, WorkflowStep


class PrepareInputs(WorkflowStep):
    """Files become pictures; the files are let go."""

    name = "PrepareInputs"
    weight = 2.0

    def __init__(self, settings: TryonSettings) -> None:
        self._limits = (settings.max_image_bytes, settings.max_pixels)

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep.

        Raises:
            InputError: A file is unusable.
        """
        person = images.decode(context.person, "person", *self._limits)
        context.person_picture = images.flatten(person)
        context.watch.check()
        context.garment_picture = images.decode(context.garment, "garment", *self._limits)
        context.person = context.garment = b""
        return context


class ResizeImages(WorkflowStep):
    """Both pictures in the sizes that the engine works in."""

    name = "ResizeImages"
    weight = 1.0

    def __init__(self, settings: TryonSettings) -> None:
        self._keep_aspect = settings.maintain_aspect_ratio

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep."""
        person, garment = _pictures(context)
        size = images.person_size(person.size, context.options.resolution, self._keep_aspect)
        # Beside the presets, a panorama would be as long as it likes.
        if size[0] * size[1] > 4 * min(size) ** 2:
            raise InputError("the person picture is more than four times as long as wide")
        context.person_picture = images.resized(person, size)
        fitted = images.garment_size(garment.size, size)
        context.garment_picture = images.resized(garment, fitted)
        return context


class Inference(WorkflowStep):
    """The engine's work; its time is the job's `inference_time_ms`."""

    name = "Inference"
    weight = 30.0

    def __init__(self, engine: TryonEngine) -> None:
        self._engine = engine

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep.

        Raises:
            TryonError: Of the engine.
        """
        person, garment = _pictures(context)
        options = context.options
        made: list[EngineResult] = []
        for place in range(options.num_samples):
            context.watch.enter_part(place, options.num_samples)
            drawn = replace(options, seed=(options.seed + place) % SEEDS if place else options.seed)
            made.append(self._engine.generate(EngineJob(person, garment, drawn, context.watch)))
        unused = self._engine.unused
        if "prompt" in options.given and "prompt" not in unused:
            unused += ("category",)  # it is told in the built-in prompt alone
        ignored = [name for name in unused if name in options.given]
        told = {"mode": options.mode, "steps": options.steps, "cfg": options.cfg}
        context.report |= {name: None if name in unused else told[name] for name in told}
        restored = all(drawn.restored for drawn in made)
        context.report |= {"restored": restored, "ignored": ignored, "num_samples": len(made)}
        context.result, *context.samples = (drawn.picture for drawn in made)
        return context


class CollectResult(WorkflowStep):
    """The result becomes a file, with a comparison where asked for."""

    name = "CollectResult"
    weight = 2.0

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep."""
        if context.result is None:
            raise PipelineError("no step before has made a result")
        kind = context.options.output_format
        context.image = images.encode(context.result, kind)
        context.sample_images = [images.encode(picture, kind) for picture in context.samples]
        if context.options.comparison:
            person, garment = _pictures(context)
            row = images.comparison(person, images.flatten(garment), context.result)
            context.comparison = images.encode(row, kind)
        context.report |= {
            "width": context.result.width,
            "height": context.result.height,
            "content_type": images.CONTENT_TYPES[kind],
        }
        return context


class ClearGPUCache(WorkflowStep):
    """Memory that nobody uses goes back to the device."""

    name = "ClearGPUCache"
    weight = 0.5

    def __init__(self, engine: TryonEngine) -> None:
        self._engine = engine

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep."""
        self._engine.clear_cache()
        return context


def default_workflow(settings: TryonSettings, engine: TryonEngine) -> TryonWorkflow:
    """Return the steps that the configuration switches on."""
    steps: list[WorkflowStep] = [PrepareInputs(settings)]
    if settings.resize_to_resolution:
        steps.append(ResizeImages(settings))
    steps += [Inference(engine), CollectResult()]
    if settings.clear_cache_between_jobs:
        steps.append(ClearGPUCache(engine))
    return TryonWorkflow(steps)


def _pictures(context: JobContext) -> tuple[Any, Any]:
    if context.person_picture is None or context.garment_picture is None:
        raise PipelineError("no step before has prepared the pictures")
    return context.person_picture, context.garment_picture
