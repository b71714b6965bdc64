"""What a model's `configs/tensorrt.pbtxt` says about its plan; no other place says it.

Parameters, which Triton's TensorRT backend passes over:

- ``plan_precisions``: what to try, best first, such as ``FP16,FP32``. FP32 is without TF32. FP8
  needs a graph that is quantised already.
- ``plan_min_shapes``, ``plan_opt_shapes``, ``plan_max_shapes``: the optimisation profile, as
  ``trtexec`` writes it: ``input_ids:1x1,attention_mask:1x1``.
- ``plan_guard``: how close its answers must be to the ONNX graph's, ``cosine:0.9999`` (smallest of
  all rows), ``difference:0.001`` (largest) or ``confidence:0.02`` (largest difference after softmax
  over the last axis, for classifiers that answer logits).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gateway.model_config import parameters, read_config

PROFILE = "tensorrt"
PRECISIONS = ("FP32", "FP16", "BF16", "FP8")
Shape = tuple[int, ...]
Measure = Literal["cosine", "difference", "confidence"]


@dataclass(frozen=True)
class Range:
    """Shapes of one input, batch first.

    Attributes:
        smallest: that the plan takes.
        tuned: that it is fastest at.
        largest: that it takes.
    """

    smallest: Shape
    tuned: Shape
    largest: Shape


@dataclass(frozen=True)
class Guard:
    """Measure and bound of the difference to the ONNX graph."""

    measure: Measure
    bound: float

    def accepts(self, value: float) -> bool:
        """Whether a measured value is good enough; not-a-number never is."""
        return value >= self.bound if self.measure == "cosine" else value <= self.bound


@dataclass(frozen=True)
class PlanDeclaration:
    """The plan that a model wants.

    Attributes:
        model: Triton's name of it.
        precisions: to try in this order.
        inputs: shapes by name.
        guard: what the answers must keep.
    """

    model: str
    precisions: tuple[str, ...]
    inputs: dict[str, Range]
    guard: Guard

    @property
    def profile(self) -> str:
        """The shapes as one string, the same for the same shapes."""
        inputs = self.inputs.items()
        shapes = {name: [size.smallest, size.tuned, size.largest] for name, size in inputs}
        return json.dumps(shapes, sort_keys=True, separators=(",", ":"))

    @property
    def longest(self) -> int:
        """The largest size of a dimension that may vary, beside the batch's; 0 without one."""
        pairs = [
            (low, high)
            for shape in self.inputs.values()
            for low, high in zip(shape.smallest[1:], shape.largest[1:], strict=True)
        ]
        return max((high for low, high in pairs if low != high), default=0)


def declaration_file(repository: Path, model: str) -> Path:
    """Return where a model would declare its plan."""
    return repository / model / "configs" / f"{PROFILE}.pbtxt"


def declared(repository: Path, model: str) -> PlanDeclaration | None:
    """Return what a model declares; None for one that is not served from a plan.

    Raises:
        ValueError: the declaration is incomplete or contradicts itself.
    """
    file = declaration_file(repository, model)
    if not file.is_file():
        return None
    config = read_config(file)
    return parse(config) if config.get("backend") == "tensorrt" else None


def parse(config: dict[str, Any]) -> PlanDeclaration:
    """Return the declaration in a configuration of the backend ``tensorrt``.

    Raises:
        ValueError: it is incomplete or contradicts itself.
    """
    model, values = str(config.get("name", "")), parameters(config)
    try:
        shapes = [_shapes(values[f"plan_{bound}_shapes"]) for bound in ("min", "opt", "max")]
        precisions = tuple(values["plan_precisions"].split(","))
        guard = _guard(values["plan_guard"])
    except KeyError as error:
        raise ValueError(f"{model}: the parameter {error} is missing") from None
    if unknown := set(precisions) - set(PRECISIONS):
        raise ValueError(f"{model}: {unknown.pop()!r} is no precision; known: {PRECISIONS}")
    low, tuned, high = shapes
    inputs = {name: Range(low[name], tuned.get(name, ()), high.get(name, ())) for name in low}
    declaration = PlanDeclaration(model, precisions, inputs, guard)
    _check(config, declaration)
    return declaration


def _shapes(text: str) -> dict[str, Shape]:
    """Shapes by name from ``a:1x2,b:3``."""
    ranges = {}
    for part in text.split(","):
        name, _, sizes = part.rpartition(":")
        ranges[name.strip()] = tuple(int(size) for size in sizes.split("x"))
    return ranges


def _guard(text: str) -> Guard:
    measure, _, bound = text.partition(":")
    for known in get_args(Measure):
        if measure == known:
            return Guard(known, float(bound))
    known = ", ".join(get_args(Measure))
    raise ValueError(f"plan_guard measures one of {known}, not {measure!r}")


def _check(config: dict[str, Any], declaration: PlanDeclaration) -> None:
    """Refuse shapes that the configuration's own inputs and batches do not allow."""
    batch, model = int(config.get("max_batch_size", 0)), declaration.model
    wanted = {entry["name"]: [int(size) for size in entry["dims"]] for entry in config["input"]}
    if set(wanted) != set(declaration.inputs):
        raise ValueError(f"{model}: shapes of {set(declaration.inputs)}, inputs are {set(wanted)}")
    for name, dims in wanted.items():
        bounds = declaration.inputs[name]
        low, tuned, high = bounds.smallest, bounds.tuned, bounds.largest
        for shape in (low, tuned, high):
            fits = len(shape) == len(dims) + 1 and all(
                size in (-1, has) for size, has in zip(dims, shape[1:], strict=True)
            )
            if not fits:
                raise ValueError(f"{model}: {shape} is no shape of {name}")
        if not all(a <= b <= c for a, b, c in zip(low, tuned, high, strict=True)):
            raise ValueError(f"{model}: min, opt and max shapes of {name} are not in order")
        if (low[0], high[0]) != (1, batch):
            raise ValueError(f"{model}: {name} must allow batches from 1 to {batch}")
