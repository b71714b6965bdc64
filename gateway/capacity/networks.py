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
from pathlib import Path
from typing import Any

from gateway.capacity.facts import ARENA_FACTOR, NETWORKS, Network
from gateway.services.registry import SERVICES
from gateway.settings import Settings
from gateway.triton.model_config import parameters, read_config
from gateway.triton.tensorrt_plans.declared import PlanDeclaration, declared

_BYTES = {"FP32": 4, "FP16": 2, "BF16": 2, "FP8": 1}


@dataclass(frozen=True)
class Deployed:
    """A network that the configuration needs.

    Attributes:
        model: Triton's name.
        instances: on each device.
        forced: device that the configuration names; empty: as Triton places it.
        weights: bytes in FP32.
        on_onnx: bytes of activations of an instance on ONNX Runtime.
        on_plan: bytes of an instance of its plan in all; 0 without one.
        known: whether the activations are known.
    """

    model: str
    instances: int
    forced: str
    weights: int
    on_onnx: int
    on_plan: int
    known: bool

    def gpu_bytes(self, plans: bool) -> int:
        """Memory that all instances take on one GPU."""
        onnx = self.weights + ARENA_FACTOR * self.on_onnx
        return self.instances * max(onnx, self.on_plan if plans else 0)

    def cpu_bytes(self) -> int:
        """Memory that all instances take on the host."""
        return self.instances * (self.weights + self.on_onnx)


def needed(settings: Settings, devices: dict[str, str]) -> list[Deployed]:
    """Return the networks of the enabled services.

    ``devices`` are those that the configuration forces.

    Raises:
        OSError: a configuration in the model repository cannot be read.
        ValueError: one is wrong.
    """
    found = dict(_models(settings))
    return [_deployed(settings, model, caller, devices) for model, caller in found.items()]


def _models(settings: Settings) -> Iterator[tuple[str, str]]:
    """Networks with the model that calls them; empty: the gateway."""
    for name in SERVICES:
        if name in settings.services:
            yield from settings.section(name).called_networks()


def _deployed(settings: Settings, model: str, caller: str, devices: dict[str, str]) -> Deployed:
    repository = settings.paths.repository
    config = read_config(repository / model / "config.pbtxt")
    groups = config.get("instance_group", [{}])
    kind = _kind(model)
    file = repository / model / "1" / "model.onnx"
    weights = file.stat().st_size if file.is_file() else kind.weights
    plan = declared(repository, model)
    rows = _rows(repository, caller, kind, int(config.get("max_batch_size", 1)))
    return Deployed(
        model=model,
        instances=sum(int(group.get("count", 1)) for group in groups),
        forced=devices.get(model, ""),
        weights=weights,
        on_onnx=rows * kind.row,
        on_plan=_plan_bytes(plan, weights, kind) if plan else 0,
        known=kind.row > 0,
    )


def _kind(model: str) -> Network:
    """Facts of a network; a derived one has its original's, another one none."""
    for name, facts in NETWORKS.items():
        if model == name or model.startswith(f"{name}_"):
            return facts
    return Network(0, 0)


def _rows(repository: Path, caller: str, kind: Network, most: int) -> int:
    """Rows of the largest size that the caller sends to an instance at once."""
    given = parameters(_read(repository, caller))
    if "chunk_tokens" in given and kind.size:
        return min(most, max(1, -(-int(given["chunk_tokens"]) // kind.size)))
    if "detection_side" in given and kind.size:
        return 1  # the face models send pictures one by one
    return min(most, int(given.get("batch_rows", most)))


def _read(repository: Path, model: str) -> dict[str, Any]:
    return read_config(repository / model / "config.pbtxt") if model else {}


def _plan_bytes(plan: PlanDeclaration, weights: int, kind: Network) -> int:
    """Of an instance of the plan in the first precision."""
    largest = next(iter(plan.inputs.values())).largest
    scale = (plan.longest / kind.size) ** 2 if kind.size else 1.0
    full = weights + largest[0] * kind.row * scale
    return int(full * _BYTES[plan.precisions[0]] / 4)
