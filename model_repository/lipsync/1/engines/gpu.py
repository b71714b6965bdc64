"""Frames on a GPU: weights of many tenants in its memory, a few slots that compute any of them."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from frames.pixels import Mask
from frames.staging import Staging
from lipsync_errors import RefusedError, UnsuitableTenantError
from memory.torch_device import KEPT_FREE, CpuDevice, end_process, open_device
from memory.weight_tiers import TieredWeights, WeightTiers
from numpy.typing import NDArray
from tenants.blob import OpenBlob
from tenants.layout import HALF

from engines.gpu_graph import Place, PreparedGraph
from engines.gpu_slots import BATCHES, to_channels_last

HOST_BYTES = 4 * 2**30
"""Pinned memory at most, unless another bound is given: some 170 tenants."""


@dataclass(frozen=True, eq=False)
class GpuWeights:
    """One tenant.

    Attributes:
        graph: What computes it.
        tiered: Where its weights lie.
        memory_bytes: Of the device that they take when they are there.
        engine: The engine's name, with the way the graph is computed.
    """

    graph: PreparedGraph
    tiered: TieredWeights
    memory_bytes: int
    engine: str


class GpuEngine:
    """Computes frames on one CUDA device; on `cpu` the same without CUDA."""

    layout = HALF

    def __init__(
        self,
        device: str | CpuDevice,
        workers: int,
        mask: Mask,
        budget: int = 0,
        index: int = 0,
        *,
        room: int = 0,
        host_budget: int = HOST_BYTES,
        batches: Sequence[int] = BATCHES,
        fuse: bool = True,
        lost: Callable[[BaseException], Any] = end_process,
    ) -> None:
        """Prepare an engine.

        Args:
            device: torch's name, such as "cuda:0", or a device.
            workers: Threads that will call `run`, each with slots of its own.
            mask: Of frames with three channels.
            budget: Bytes of the device for weights; 0 is what is free now without the slots'.
            index: Number of the device in reports.
            room: Bytes of the device for weights and slots at most, where others will want the
                rest; 0 is no such bound. A budget wins.
            host_budget: Bytes of pinned memory for weights that leave the device.
            batches: Sizes of steps that are captured, ascending.
            fuse: Whether fused convolutions are used where the golden frame allows it.
            lost: Told the error after which nothing runs on the device any more.

        Raises:
            RuntimeError: The device has no memory for the frames of the workers.
        """
        self._device = open_device(device) if isinstance(device, str) else device
        self.workers = workers
        self.most_frames = batches[-1]
        self._index = index
        self._lost = lost
        self._budget = budget
        self._lock = threading.Lock()
        self._graphs: weakref.WeakValueDictionary[str, PreparedGraph] = (
            weakref.WeakValueDictionary()
        )
        self._pending: dict[str, Future[PreparedGraph]] = {}
        self._latest: PreparedGraph | None = None
        """Stays, so that its only tenant may leave and come back without another capture."""
        # One thread for all of them: cuDNN keeps its plans by thread.
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self.name = f"torch {torch.__version__} {self._device.how}"
        stagings = [Staging(self._device, self.most_frames) for _ in range(workers)]
        free, total = self._device.memory()
        self._room = min(free - int(total * KEPT_FREE), room or total)
        self.tiers = WeightTiers(self._device, self._capacity(1), host_budget)
        self._place = Place(self._device, self.tiers, stagings, mask, batches, fuse)

    def load(self, blob: OpenBlob) -> GpuWeights:
        """Put a tenant on the device, and its graph if it is the first; blocks until it can run.

        Raises:
            UnsuitableTenantError: torch does not run it here, or not well enough.
            TenantMemoryError: There is no room.
        """
        placed = blob.manifest.weights
        with self._guarded():
            tiered = self.tiers.add(lambda: to_channels_last(blob.flat(), placed))
            try:
                graph = self._graph(blob, tiered)
                problem = graph.prove(blob, tiered)
                if problem:
                    raise UnsuitableTenantError(problem)
            except BaseException:
                self.tiers.remove(tiered)
                raise
        return GpuWeights(graph, tiered, tiered.memory_bytes, f"{self.name}, {graph.how}")

    def free(self, weights: GpuWeights) -> None:
        """Frees a tenant's memory."""
        for slot in tuple(weights.graph.slots.values()):
            slot.forget(weights.tiered)
        self.tiers.remove(weights.tiered)

    def run(
        self,
        worker: int,
        weights: GpuWeights,
        frames: NDArray[Any],
        audio: NDArray[Any],
        mouths: NDArray[Any],
    ) -> None:
        """Compute up to `most_frames` frames of one tenant.

        Args:
            worker: Number of the calling thread.
            weights: Of the tenant.
            frames: [n, 6 or 3, 320, 320], FP32, FP16 or UINT8.
            audio: FP32 [1 or n, 32, 16, 16].
            mouths: Receives FP32, FP16 or UINT8 [n, 3, 320, 320]; without gaps.

        Raises:
            NotFiniteError: What came out is no picture.
        """
        with self._guarded(), self._place.stagings[worker].lock:
            weights.graph.slots[worker].run(weights.tiered, frames, audio, mouths)

    def device(self) -> dict[str, Any]:
        """Return what it runs on, with memory in bytes of the whole device."""
        free, total = self._device.memory()
        return {
            "kind": self._device.kind,
            "index": self._index,
            "name": self._device.name,
            "memory_total_bytes": total,
            "memory_used_bytes": total - free,
        }

    def close(self) -> None:
        """Wait for the device."""
        self._preparing.shutdown(wait=True)
        self._device.synchronize()

    def _graph(self, blob: OpenBlob, tiered: TieredWeights) -> PreparedGraph:
        """Return the graph of a tenant, prepared if nobody has it; others that need it wait."""
        digest = blob.manifest.skeleton_sha256
        while True:
            with self._lock:
                graph = self._graphs.get(digest)
                waits = digest in self._pending
                if graph is None and not waits:
                    self._pending[digest] = self._preparing.submit(self._prepare, blob, tiered)
                pending = self._pending.get(digest)
            if graph is None and pending is not None:
                try:
                    graph = pending.result()
                except UnsuitableTenantError:
                    if not waits:
                        raise
                    continue  # the other tenant's weights may be what did not suit
                finally:
                    self._settle(digest, pending)
            if graph is not None:
                with self._lock:
                    self._latest = graph
                return graph

    def _settle(self, digest: str, pending: Future[PreparedGraph]) -> None:
        """Take a finished preparation over, once."""
        with self._lock:
            if self._pending.get(digest) is pending:
                del self._pending[digest]
                if pending.exception() is None:
                    self._graphs[digest] = pending.result()

    def _prepare(self, blob: OpenBlob, tiered: TieredWeights) -> PreparedGraph:
        """Prepare a graph; where its slots find no memory, tenants leave, and it tries again."""
        alone = not self._graphs
        self.tiers.resize(self._capacity(1 + len(self._graphs)))
        try:
            graph = self._prepared(blob, tiered)
            if graph is None:
                self.tiers.resize(max(tiered.memory_bytes, self.tiers.device_bytes // 2))
                graph = self._prepared(blob, tiered)
        finally:
            if alone:  # nobody computes whom it could disturb
                self._device.trim()
        if graph is None:
            raise UnsuitableTenantError("the device has no memory for its slots")
        return graph

    def _prepared(self, blob: OpenBlob, tiered: TieredWeights) -> PreparedGraph | None:
        """Return a prepared graph; None when there is not enough memory."""
        try:
            return PreparedGraph(self._place, blob, tiered)
        except RuntimeError as error:
            if self._device.is_memory_error(error):
                return None
            raise

    def _capacity(self, graphs: int) -> int:
        """Bytes for weights beside the slots of so many graphs."""
        if self._budget:
            return self._budget
        return max(0, self._room - graphs * self.workers * self._device.slot_bytes)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Report an error after which nothing runs on the device any more."""
        try:
            yield
        except RefusedError:
            raise
        except Exception as error:
            if self._device.is_lost(error):
                self._lost(error)
            raise
