"""What the GPU engine asks of a device: streams, events, pinned memory, captured graphs.

`CudaDevice` is CUDA by torch. `CpuDevice` does the same things at once and in order, so that the
whole engine runs, and is tested, where there is no GPU. Nothing else here knows which it is.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from memory.process_memory import machine_memory, processor, resident_bytes

OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation: memory that did not come from torch's allocator, a graph's say."""
EXIT_STATUS = 70
"""Of a process whose CUDA context is lost; EX_SOFTWARE of sysexits.h."""
KEPT_FREE = 0.05
"""Share of a card's memory that weights leave alone: fragments, and what others take."""


class CpuDevice:
    """A device whose work is done when it is asked for."""

    kind = "cpu"
    slot_bytes = 0
    """Memory to keep for the slot of a worker."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` is of weights and activations; half precision is slow on most CPUs."""
        self.torch = torch.device("cpu")
        self.dtype = dtype

    @property
    def how(self) -> str:
        """The way it computes, in words."""
        return f"cpu {str(self.dtype).removeprefix('torch.float')}-bit of fp16 weights"

    def stream(self) -> Any:
        """Return a new queue of work."""
        return _Done()

    def event(self) -> Any:
        """Return a new mark for `record`, `wait_event` and `synchronize`, as torch.cuda.Event."""
        return _Done()

    @contextlib.contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        """Work inside goes to this stream; nothing is recorded for gradients."""
        with torch.inference_mode():
            yield

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory of the device for work on the current stream, not set to anything."""
        return torch.empty(shape, dtype=dtype, device=self.torch)

    def copy(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """Copy on the current stream, converting the type; may return before it is done."""
        target.copy_(source)

    def launch(self, replay: Callable[[], None]) -> None:
        """Run what `capture` returned on the current stream; may return before it is done."""
        replay()

    def keep(self, tensor: torch.Tensor, stream: Any) -> None:
        """Lets nobody have the tensor's memory before the stream's work of now is done."""

    def pinned(self, size: int) -> torch.Tensor:
        """Bytes of the host that a device copies from and to by itself.

        Raises:
            RuntimeError: They cannot be had.
        """
        return torch.empty(size, dtype=torch.uint8)

    def plan(self, call: Callable[[], None], stream: Any, thorough: bool) -> None:
        """Lets the libraries choose their algorithms for the work of a call; waits for it.

        Args:
            call: Launches work on the current stream.
            stream: The current one.
            thorough: Whether algorithms are timed, or chosen by rules.
        """

    def capture(
        self, call: Callable[[], None], stream: Any, pool: Any
    ) -> tuple[Callable[[], None], Any]:
        """Record the work of a call that has run before.

        Args:
            call: Launches work on the current stream and waits for none of it.
            stream: The current one.
            pool: Where graphs of this stream have their tensors; None for a new one.

        Returns:
            What does that work again, and the pool.
        """
        return call, pool

    def trim(self) -> None:
        """Give memory that torch keeps for later back to the card; wait for all work on it."""

    def synchronize(self) -> None:
        """Wait for all work on the device."""

    def memory(self) -> tuple[int, int]:
        """Free bytes and all bytes."""
        total = machine_memory()
        return max(0, total - resident_bytes()), total

    @property
    def name(self) -> str:
        """The hardware's name."""
        return processor()

    def is_memory_error(self, error: BaseException) -> bool:
        """Whether there was not enough memory, of the device or pinned."""
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        return (
            isinstance(error, torch.AcceleratorError)
            and getattr(error, "error_code", None) == OUT_OF_MEMORY
        )

    def is_lost(self, error: BaseException) -> bool:
        """Whether nothing can run on the device any more after this error.

        The device is asked: most errors do not say it, and one of a kernel is told by whatever
        runs next.
        """
        runtime = isinstance(error, RuntimeError) and not self.is_memory_error(error)
        return runtime and not self.is_alive()

    def is_alive(self) -> bool:
        """Whether work still runs on the device."""
        return True


class _Done:
    """Stream and event of a device that has nothing pending."""

    def record(self, stream: Any) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return True


class CudaDevice(CpuDevice):
    """A GPU."""

    kind = "cuda"
    how = "cuda graphs fp16"
    slot_bytes = 2 * 10**9
    """25 frames' activations in FP16 are 1.3 GB; the rest are libraries' workspaces."""

    def __init__(self, device: torch.device) -> None:
        """`device` has an index; the CUDA context is made here."""
        super().__init__(torch.float16)
        self.torch = device
        self._probe = self.stream()
        # With `benchmark` torch would empty its cache, which waits for the whole card, for each
        # shape; once all are planned `trim` does it.
        torch._C._cudnn_set_conv_benchmark_empty_cache(False)

    def stream(self) -> Any:
        """Return a new queue of work."""
        return torch.cuda.Stream(self.torch)

    def event(self) -> Any:
        """Return a new mark; a thread that waits for it sleeps, for the gateway needs the cores."""
        return torch.cuda.Event(blocking=True)

    @contextlib.contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        """Work inside goes to this stream."""
        with torch.inference_mode(), torch.cuda.device(self.torch), torch.cuda.stream(stream):
            yield

    def copy(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """Copy on the current stream; from and to pinned memory it returns at once."""
        target.copy_(source, non_blocking=True)

    def keep(self, tensor: torch.Tensor, stream: Any) -> None:
        """Lets nobody have the tensor's memory before the stream's work of now is done."""
        tensor.record_stream(stream)

    def pinned(self, size: int) -> torch.Tensor:
        """Bytes of page-locked memory; torch takes the next power of two."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def plan(self, call: Callable[[], None], stream: Any, thorough: bool) -> None:
        """Run the work twice: cuDNN's choice may be another one once there is a workspace."""
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = thorough
        try:
            for _ in range(2):
                call()
            stream.synchronize()
        finally:
            torch.backends.cudnn.benchmark = before

    def capture(
        self, call: Callable[[], None], stream: Any, pool: Any
    ) -> tuple[Callable[[], None], Any]:
        """Record a CUDA graph.

        By `capture_begin` itself: `torch.cuda.graph` would first wait for the whole card and empty
        the caches of device and host, under the work of others.
        """
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        pools = () if pool is None else (pool,)
        graph.capture_begin(*pools, capture_error_mode="thread_local")
        try:
            call()
        finally:
            graph.capture_end()
        return graph.replay, graph.pool()

    def trim(self) -> None:
        """Give cached memory back to the card."""
        torch.cuda.synchronize(self.torch)
        torch.cuda.empty_cache()

    def synchronize(self) -> None:
        """Wait for all work on the card."""
        torch.cuda.synchronize(self.torch)

    def memory(self) -> tuple[int, int]:
        """Free bytes and all bytes of the card."""
        free, total = torch.cuda.mem_get_info(self.torch)
        return free, total

    @property
    def name(self) -> str:
        """The card's name."""
        return str(torch.cuda.get_device_name(self.torch))

    def is_alive(self) -> bool:
        """Whether a kernel still runs, on a stream of its own: others may be captured just now."""
        try:
            with self.on(self._probe):
                return bool((torch.ones(1, device=self.torch) + 1).item() == 2)
        except RuntimeError:
            return False


def open_device(device: str) -> CpuDevice:
    """Return a device by torch's name, such as "cuda:0" or "cpu"."""
    named = torch.device(device)
    return CudaDevice(named) if named.type == "cuda" else CpuDevice()


def end_process(error: BaseException) -> None:
    """End the process: Triton starts another one, with a CUDA context that works."""
    text = str(error).partition("\n")[0]
    sys.stderr.write(f"lipsync: the CUDA context is lost, the process ends: {text}\n")
    sys.stderr.flush()
    os._exit(EXIT_STATUS)
