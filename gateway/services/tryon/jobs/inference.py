"""One run of the try-on workflow in Triton."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gateway.errors import GatewayError, InferenceError
from gateway.triton import Tensor, TritonPort
from gateway.triton.tensors import Array, bytes_tensor

OnProgress = Callable[[float, str | None], None]
MAX_STEP_NAME = 64


@dataclass(frozen=True)
class Inputs:
    """What a run works on.

    Attributes:
        person: encoded picture.
        garment: encoded picture.
        options: see the model's documentation; missing ones are its defaults.
    """

    person: bytes
    garment: bytes
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TryOn:
    """What a run has made.

    Attributes:
        image: encoded picture.
        report: engine, seed, size and timings, as the model tells them.
        comparison: a second encoded picture, where one was asked for.
        samples: encoded pictures beside ``image``, where several were asked for.
    """

    image: bytes
    report: dict[str, Any]
    comparison: bytes | None
    samples: tuple[bytes, ...] = ()

    @property
    def content_type(self) -> str:
        """Media type of ``image``."""
        return str(self.report.get("content_type", "image/png"))

    @property
    def inference_ms(self) -> int:
        """Duration of the Inference step alone."""
        return round(float(self.report.get("inference_time_ms", 0)))


class TryOnModel:
    """The Triton model that runs the workflow.

    Args:
        triton: where it is.
    """

    def __init__(
        self, triton: TritonPort, name: str, headers: Callable[[], Mapping[str, str] | None]
    ) -> None:
        self._triton = triton
        self._name = name
        self._headers = headers

    async def run(self, inputs: Inputs, timeout: float, on_progress: OnProgress) -> TryOn:
        """Run the workflow; cancelling the task cancels it between two of the engine's steps.

        Args:
            inputs: pictures and options.
            timeout: seconds.
            on_progress: called with 0..1 and the step's name whenever the model tells them.

        Raises:
            WorkflowError: a step failed, and the model said why.
            GatewayError: the model is down, late or broken.
        """
        tensors = {
            "PERSON": _one(inputs.person),
            "GARMENT": _one(inputs.garment),
            "OPTIONS": _one(json.dumps(inputs.options).encode()),
        }
        result: TryOn | None = None
        async with aclosing(self._stream(tensors, timeout)) as stream:
            try:
                async for outputs in stream:
                    if "PROGRESS" in outputs:
                        on_progress(*_progress(json.loads(outputs["PROGRESS"].flat[0])))
                    if "IMAGE" in outputs:
                        result = _made(outputs)
            except GatewayError:  # after the result, only the stream's end is missing
                if result is None:
                    raise
        if result is None:
            raise InferenceError
        return result

    async def describe(self, timeout: float) -> dict[str, Any]:
        """Return what the model says of itself; it answers while it loads and while it works.

        Raises:
            GatewayError: it does not answer.
        """
        command = {"COMMAND": _one(b'{"op":"describe"}')}
        async with aclosing(self._stream(command, timeout)) as stream:
            reports = [outputs["REPORT"] async for outputs in stream if "REPORT" in outputs]
        if not reports:
            raise InferenceError
        return dict(json.loads(reports[-1].flat[0]))

    def _stream(
        self, tensors: Mapping[str, Tensor], timeout: float
    ) -> AsyncGenerator[dict[str, Array], None]:
        return self._triton.stream(self._name, tensors, timeout=timeout, headers=self._headers())


def _made(outputs: Mapping[str, Array]) -> TryOn:
    comparison, samples = outputs.get("COMPARISON"), outputs.get("SAMPLES")
    return TryOn(
        bytes(outputs["IMAGE"].flat[0]),
        dict(json.loads(outputs["REPORT"].flat[0])),
        None if comparison is None else bytes(comparison.flat[0]),
        () if samples is None else tuple(bytes(file) for file in samples.flat),
    )


def _progress(report: Mapping[str, Any]) -> tuple[float, str | None]:
    step = report.get("step")
    fraction = min(max(float(report["fraction"]), 0.0), 1.0)
    return fraction, str(step)[:MAX_STEP_NAME] if step else None


def _one(item: bytes) -> Tensor:
    return bytes_tensor([item], rows=False)
