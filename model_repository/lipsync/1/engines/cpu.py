"""Frames on the CPU: one ONNX Runtime session per graph, the weights of all tenants as inputs.

ONNX Runtime orders the weights of a session in blocks for its kernels; here that was done once, at
import, and the session takes the ordered weights as inputs. So a tenant is nothing but a mapped
file, a switch costs nothing, and frames run one by one, each on one core: batches gain nothing on
a CPU and cost 160 MB of activations for each frame.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from frames.pixels import NETWORK_CHANNELS, SIDE, Mask, network_input, write_mouths
from lipsync_errors import RefusedError
from memory.process_memory import machine_memory, processor, resident_bytes
from numpy.typing import NDArray
from tenants.blob import OpenBlob
from tenants.layout import BLOCKED


class _Graph:
    """The session that all tenants of one graph share."""

    def __init__(self, skeleton: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Optimised at import. The weights being inputs, nothing could be done anyway.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.use_env_allocators", "1")
        self.session = ort.InferenceSession(skeleton, options, ["CPUExecutionProvider"])


@dataclass(frozen=True)
class CpuWeights:
    """One tenant.

    Attributes:
        graph: What computes it.
        values: Its weights by input name.
        memory_bytes: Of its mapped file.
    """

    graph: _Graph
    values: dict[str, ort.OrtValue]
    memory_bytes: int


class CpuEngine:
    """Computes frames on the cores of this machine."""

    layout = BLOCKED
    most_frames = 1
    """Frames of one step."""

    def __init__(self, workers: int, mask: Mask, index: int = 0, why: str = "") -> None:
        """Prepare an engine.

        Args:
            workers: Threads that will call `run`.
            mask: Of frames with three channels.
            index: Number of this "device"; several share the cores.
            why: Why no GPU computes, where that is worth telling.
        """
        self.name = f"onnxruntime {ort.__version__} cpu fp32" + (f" ({why})" if why else "")
        self.workers = workers
        self._mask = mask
        self._index = index
        self._lock = threading.Lock()
        self._graphs: weakref.WeakValueDictionary[str, _Graph] = weakref.WeakValueDictionary()
        frame = (1, NETWORK_CHANNELS, SIDE, SIDE)
        self._scratch = [np.empty(frame, np.float32) for _ in range(workers)]
        _share_arena()

    def load(self, blob: OpenBlob) -> CpuWeights:
        """Make a tenant ready.

        Raises:
            RefusedError: tenant_contract: ONNX Runtime does not run its graph.
        """
        digest = blob.manifest.skeleton_sha256
        with self._lock:
            graph = self._graphs.get(digest)
            if graph is None:
                try:
                    graph = _Graph(blob.skeleton)
                except Exception as error:  # ONNX Runtime has no common base; its words tell paths
                    reason = f"ONNX Runtime refuses the graph ({type(error).__name__})"
                    raise RefusedError("tenant_contract", reason) from None
                self._graphs[digest] = graph
        values = {
            name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in blob.arrays().items()
        }
        return CpuWeights(graph, values, blob.memory_bytes)

    def free(self, weights: CpuWeights) -> None:
        """Forgets a tenant; its file is unmapped with the last reference to it."""
        weights.values.clear()

    def run(
        self,
        worker: int,
        weights: CpuWeights,
        frames: NDArray[Any],
        audio: NDArray[Any],
        mouths: NDArray[Any],
    ) -> None:
        """Compute one frame.

        Args:
            worker: Number of the calling thread.
            weights: Of the tenant.
            frames: [1, 6 or 3, 320, 320] as in `frames.pixels.network_input`.
            audio: FP32 [1, 32, 16, 16].
            mouths: Receives FP32, FP16 or UINT8 [1, 3, 320, 320].
        """
        ready = network_input(frames, self._mask, self._scratch[worker])
        feeds = {
            **weights.values,
            "input": ort.OrtValue.ortvalue_from_numpy(ready),
            "audio": ort.OrtValue.ortvalue_from_numpy(audio),
        }
        (output,) = weights.graph.session.run_with_ort_values(["output"], feeds)
        write_mouths(output.numpy(), mouths)

    def device(self) -> dict[str, Any]:
        """Return what it runs on, with memory in bytes: of the machine, and of this process."""
        return {
            "kind": "cpu",
            "index": self._index,
            "name": processor(),
            "memory_total_bytes": machine_memory(),
            "memory_used_bytes": resident_bytes(),
        }

    def close(self) -> None:
        """Nothing to do: everything goes with its last reference."""


_ARENA = threading.Lock()
_shared = False


def _share_arena() -> None:
    """One arena for the sessions of all graphs, grown by what is asked for; once per process."""
    global _shared
    with _ARENA:
        if not _shared:
            info = ort.OrtMemoryInfo(
                "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
            )
            ort.create_and_register_allocator(info, ort.OrtArenaCfg({"arena_extend_strategy": 1}))
            _shared = True
