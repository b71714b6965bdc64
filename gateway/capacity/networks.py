"""How much memory the ONNX networks take, and on how many rows they work at once.

Of an instance on ONNX Runtime: weights in FP32 + rows x activations of a row, twice on a GPU for
its arena. Of an instance of a plan: weights + activations of the profile's largest shape, both in
the precision's bytes (TensorRT reserves them with the execution context:
https://docs.nvidia.com/deeplearning/tensorrt/latest/architecture/how-trt-works.html). What is
planned with is the larger of both, as ONNX serves until the plan is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from gateway.capacity.facts import ARENA_FACTOR, CALLS, NETWORKS, Network
from gateway.model_config import parameters, read_config
from gateway.services.registry import SERVICES
from gateway.settings import Settings
from gateway.triton.placing import CARDS
from gateway.triton.tensorrt_plans.declared import PlanDeclaration, declared

T = TypeVar("T")
_BYTES = {"FP32": 4, "FP16": 2, "BF16": 2, "FP8": 1}


@dataclass(frozen=True)
class Deployed:
    """A network that the configuration needs.

    Attributes:
        model: Triton's name.
        instances: on each device.
        forced: device that the configuration names; empty: as Triton places it.
        weights: bytes in FP32.
        on_cpu: bytes of activations of an instance on ONNX Runtime on a CPU.
        on_gpu: likewise on a GPU, whose calls hold more.
        on_plan: bytes of an instance of its plan in all; 0 without one.
        known: whether the activations are known.
        cards: GPUs that it has instances on; 0: all.
    """

    model: str
    instances: int
    forced: str
    weights: int
    on_cpu: int
    on_gpu: int
    on_plan: int
    known: bool
    cards: int

    def gpu_bytes(self, plans: bool) -> int:
        """Memory that all instances take on one GPU."""
        onnx = self.weights + ARENA_FACTOR * self.on_gpu
        return self.instances * max(onnx, self.on_plan if plans else 0)

    def cpu_bytes(self) -> int:
        """Memory that all instances take on the host."""
        return self.instances * (self.weights + self.on_cpu)


def needed(settings: Settings, devices: dict[str, str]) -> list[Deployed]:
    """Return the networks of the enabled services.

    ``devices`` are those that the configuration forces.

    Raises:
        OSError: a configuration in the model repository cannot be read.
        ValueError: one is wrong.
    """
    callers = dict(_models(settings))
    return [_deployed(settings, model, caller, devices) for model, caller in callers.items()]


def _models(settings: Settings) -> Iterator[tuple[str, str]]:
    """Networks with the model that calls them; empty: the gateway."""
    for name in SERVICES:
        if name in settings.services:
            yield from settings.section(name).called_networks()


def _deployed(settings: Settings, model: str, caller: str, devices: dict[str, str]) -> Deployed:
    repository = settings.paths.repository
    config = read_config(repository / model / "config.pbtxt")
    groups = config.get("instance_group", [{}])
    kind = _of(NETWORKS, model) or Network(0, 0)
    file = repository / model / "1" / "model.onnx"
    weights = file.stat().st_size if file.is_file() else kind.weights
    plan = declared(repository, model)
    most = int(config.get("max_batch_size", 1))
    values = parameters(read_config(repository / caller / "config.pbtxt")) if caller else {}
    return Deployed(
        model=model,
        instances=sum(int(group.get("count", 1)) for group in groups),
        forced=devices.get(model, ""),
        weights=weights,
        on_cpu=_rows(caller, values, kind, most, on_gpu=False) * kind.row,
        on_gpu=_rows(caller, values, kind, most, on_gpu=True) * kind.row,
        on_plan=_plan_bytes(plan, weights, kind) if plan else 0,
        known=kind.row > 0,
        cards=int(parameters(config).get(CARDS) or 0),
    )


def _of(table: dict[str, T], model: str) -> T | None:
    """Return a table's entry of a model, or of the one that it is derived from; else None."""
    for name, kind in table.items():
        if model == name or model.startswith(f"{name}_"):
            return kind
    return None


def _rows(caller: str, values: dict[str, str], kind: Network, most: int, *, on_gpu: bool) -> int:
    """Rows of the largest size that the caller sends to an instance at once."""
    if "detection_side" in values and kind.size:
        return 1  # the face models send pictures one by one
    rows, tokens = (_of(CALLS, caller) or ((most, 0), (most, 0)))[on_gpu]
    rows = int(values.get("chunk_rows") or values.get("batch_rows") or 0) or rows
    tokens = int(values.get("chunk_tokens") or 0) or tokens
    if tokens and kind.size:
        rows = min(rows, max(1, -(-tokens // kind.size)))
    return min(most, rows)


def _plan_bytes(plan: PlanDeclaration, weights: int, kind: Network) -> int:
    """Of an instance of the plan in the first precision."""
    largest = next(iter(plan.inputs.values())).largest
    scale = (plan.longest / kind.size) ** 2 if kind.size else 1.0
    full = weights + largest[0] * kind.row * scale
    return int(full * _BYTES[plan.precisions[0]] / 4)
