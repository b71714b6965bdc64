"""What all tenants of one graph share on a GPU, made and proven before the first counts as loaded.

cuDNN plans every convolution once for each batch, and each worker's graphs are captured. All of it
is done by one thread: cuDNN keeps plans by thread. Then the golden frame goes through every batch
of every worker; a way of computing that changes it is not used on this card.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from frames.pixels import IMAGE_CHANNELS, SIDE, Mask
from frames.staging import Staging
from lipsync_errors import NotFiniteError, UnsuitableTenantError
from memory.torch_device import CpuDevice
from memory.weight_tiers import TieredWeights, WeightTiers
from numpy.typing import NDArray
from tenants.blob import OpenBlob
from tenants.golden import MIN_PSNR, golden_inputs, psnr

from engines.cuda_check import first_line
from engines.gpu_slots import Slot
from engines.onnx_torch import TorchGraph, UnknownOperatorError

THOROUGH_SECONDS = 20.0
"""Algorithms are timed so long; batches whose turn comes later get those that cuDNN's rules say."""


@dataclass(frozen=True)
class Place:
    """Where graphs are prepared.

    Attributes:
        device: Of the engine.
        tiers: Its weights.
        stagings: One for each worker.
        mask: Of frames with three channels.
        batches: Sizes to capture, ascending.
        fuse: Whether fused convolutions may be tried.
    """

    device: CpuDevice
    tiers: WeightTiers
    stagings: Sequence[Staging]
    mask: Mask
    batches: Sequence[int]
    fuse: bool


class PreparedGraph:
    """A graph that is ready on every worker.

    Attributes:
        slots: By number of the worker.
        how: The way it computes, in words, and why not in another one.
    """

    def __init__(self, place: Place, blob: OpenBlob, weights: TieredWeights) -> None:
        """Prepare it with the weights of a tenant that needs it.

        Raises:
            UnsuitableTenantError: torch does not run it here, or not well enough.
        """
        self._place = place
        self.slots: dict[int, Slot] = {}
        notes: list[str] = []
        for how, calls in _ways(blob.skeleton, place.fuse):
            problem = self._prepare(calls, blob, weights)
            if not problem:
                self.how = " ".join([how, *(f"({note})" for note in notes)])
                return
            self.slots.clear()
            notes.append(f"{how}: {problem}")
        raise UnsuitableTenantError("; ".join(notes))

    def prove(self, blob: OpenBlob, weights: TieredWeights) -> str:
        """Run a tenant's golden frame; what is wrong with the answer, or nothing.

        On a worker that has nothing to do, or else on the first one, between two of its steps.
        """
        stagings = self._place.stagings
        number = next(
            (
                place
                for place, staging in enumerate(stagings)
                if staging.lock.acquire(blocking=False)
            ),
            None,
        )
        if number is None:
            number = 0
            stagings[number].lock.acquire()
        try:
            return _golden(self.slots[number], blob, weights, self._place.batches[0])
        finally:
            stagings[number].lock.release()

    def _prepare(self, calls: TorchGraph, blob: OpenBlob, weights: TieredWeights) -> str:
        """Make all slots in one way; what is wrong with it, or nothing."""
        place, begin = self._place, time.monotonic()
        for worker, staging in enumerate(place.stagings):
            with staging.lock:
                slot = Slot(
                    calls,
                    blob.manifest.weights,
                    weights.numbers,
                    place.tiers,
                    place.device,
                    staging,
                    place.mask,
                    place.batches,
                )
                problem = self._try(slot, blob, weights, begin)
            if problem:
                return problem
            self.slots[worker] = slot
        return ""

    def _try(self, slot: Slot, blob: OpenBlob, weights: TieredWeights, begin: float) -> str:
        """Capture and prove every batch of a slot; what is wrong, or nothing."""
        device, (*others, largest) = self._place.device, self._place.batches
        try:
            slot.switch(weights)
            problem = _spoilt(slot, blob, weights)
            for size in (largest, *others):  # the largest makes the memory that all share
                if not problem:
                    slot.prepare(size, time.monotonic() - begin < THOROUGH_SECONDS)
                    problem = _golden(slot, blob, weights, size)
        except RuntimeError as error:
            if device.is_memory_error(error) or device.is_lost(error):
                raise
            return f"torch does not run it ({first_line(error)})"
        return problem


def _ways(skeleton: bytes, fuse: bool) -> Iterator[tuple[str, TorchGraph]]:
    """Return the ways to compute a graph, the fastest first."""
    try:
        if fuse:
            fused = TorchGraph(skeleton, fuse=True)
            if fused.fused:
                yield f"{fused.fused} fused convolutions", fused
        yield "plain convolutions", TorchGraph(skeleton)
    except UnknownOperatorError as error:
        raise UnsuitableTenantError(str(error)) from None


def _golden(slot: Slot, blob: OpenBlob, weights: TieredWeights, size: int) -> str:
    """Run a batch of golden frames; what is wrong with the answer, or nothing."""
    inputs = golden_inputs()
    frames = np.repeat(inputs["input"], size, axis=0)
    mouths = np.empty((size, IMAGE_CHANNELS, SIDE, SIDE), np.float32)
    try:
        slot.run(weights, frames, inputs["audio"], mouths)
    except NotFiniteError:
        return f"a test frame in a batch of {size} is not finite in half precision"
    return _judged(blob, mouths, f"a batch of {size}")


def _spoilt(slot: Slot, blob: OpenBlob, weights: TieredWeights) -> str:
    """Run the golden frame without graphs, and fused convolutions over not-a-numbers.

    A tenant that half precision does not suit is known by it before much is planned.
    """
    inputs = golden_inputs()
    mouths = slot.eager(weights, inputs["input"], inputs["audio"])
    return _judged(blob, mouths, "memory that was used before")


def _judged(blob: OpenBlob, mouths: NDArray[Any], where: str) -> str:
    """Return what is wrong with mouths of the golden frame, or nothing."""
    expected = blob.golden()
    worst = min(psnr(expected, mouths[row : row + 1]) for row in range(len(mouths)))
    if worst >= MIN_PSNR:
        return ""
    return f"a test frame keeps {worst:.1f} dB in {where}, {MIN_PSNR:.0f} are needed"
