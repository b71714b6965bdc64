"""Memory and streams of one GPU through NVIDIA's `cuda-bindings`, which torch's CUDA build brings.

Names and signatures are those of cuda-bindings 13: every function returns a status first.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pentad_backend.tensors import LoadError

STEP_BYTES = 2**16
"""Buffers grow by powers of two from here."""


class CudaError(RuntimeError):
    """A call of the CUDA runtime failed; the text is the runtime's own."""


class Cuda:
    """A GPU and a stream on it."""

    def __init__(self, device: int, cudart: Any = None) -> None:
        """Take the card.

        Args:
            device: Index of the GPU among those that this process sees.
            cudart: The module `cuda.bindings.runtime`, or what behaves like it.

        Raises:
            LoadError: The bindings are missing, or there is no such GPU that CUDA can use.
        """
        try:
            self._cudart = cudart or import_module("cuda.bindings.runtime")
        except ImportError:
            raise LoadError("plans need the package cuda-bindings") from None
        self.device = device
        try:
            count = self._call(self._cudart.cudaGetDeviceCount)
            if device >= count:
                raise LoadError(f"there is no GPU {device}: CUDA sees {count}")
            self._call(self._cudart.cudaSetDevice, device)
            flag = self._cudart.cudaStreamNonBlocking
            self.stream = self._call(self._cudart.cudaStreamCreateWithFlags, flag)
        except CudaError as error:
            raise LoadError(f"CUDA cannot use GPU {device}: {error}") from None

    @property
    def stream_handle(self) -> int:
        """The stream as TensorRT takes it."""
        return int(self.stream)

    def use(self) -> None:
        """Make the card the calling thread's."""
        self._call(self._cudart.cudaSetDevice, self.device)

    def to_device(self, buffer: Buffer, array: NDArray[Any]) -> None:
        """Begins to copy an array into a buffer; it may change at once, its host copy not yet."""
        buffer.host(array.nbytes)[:] = array.reshape(-1).view(np.uint8)
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(buffer.device, buffer.host_address, array.nbytes, kind)

    def to_host(self, buffer: Buffer, size: int) -> NDArray[np.uint8]:
        """Begins to copy out of a buffer; the bytes are there after `wait`, till the next pass."""
        host = buffer.host(size)
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(buffer.host_address, buffer.device, size, kind)
        return host

    def wait(self) -> None:
        """Wait for everything in the stream.

        Raises:
            CudaError: Something in it failed.
        """
        self._call(self._cudart.cudaStreamSynchronize, self.stream)

    def allocate(self, size: int) -> int:
        """Address of `size` new bytes on the card."""
        return int(self._call(self._cudart.cudaMalloc, size))

    def allocate_pinned(self, size: int) -> int:
        """Address of `size` new bytes of page-locked memory, which the card copies from itself."""
        flag = self._cudart.cudaHostAllocDefault
        return int(self._call(self._cudart.cudaHostAlloc, size, flag))

    def free(self, device: int, host: int) -> None:
        """Give memory back; zero is nothing."""
        if device:
            self._call(self._cudart.cudaFree, device)
        if host:
            self._call(self._cudart.cudaFreeHost, host)

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        if size:
            self._call(self._cudart.cudaMemcpyAsync, target, source, size, kind, self.stream)

    def _call(self, function: Any, *arguments: Any) -> Any:
        status, *values = function(*arguments)
        if status != self._cudart.cudaError_t.cudaSuccess:
            _, text = self._cudart.cudaGetErrorString(status)
            raise CudaError(text.decode() if isinstance(text, bytes) else str(text))
        return values[0] if values else None


class Buffer:
    """Memory of one tensor on the card and, page-locked, in this process; it only grows."""

    def __init__(self, cuda: Cuda) -> None:
        """Allocates nothing yet."""
        self._cuda = cuda
        self._size = 0
        self._bytes: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.device = 0
        self.host_address = 0

    def reserve(self, size: int) -> None:
        """Make room; addresses change when it grows, and nothing may be using the old ones.

        Raises:
            CudaError: There is not enough memory.
        """
        if size <= self._size and self.device:
            return
        self._cuda.wait()  # a request that was refused half-way may have begun a copy
        wanted = max(STEP_BYTES, 1 << (size - 1).bit_length() if size else 0)
        self._cuda.free(self.device, self.host_address)
        self.device = self.host_address = self._size = 0
        self.device = self._cuda.allocate(wanted)
        self.host_address = self._cuda.allocate_pinned(wanted)
        self._bytes = _view(self.host_address, wanted)
        self._size = wanted

    def host(self, size: int) -> NDArray[np.uint8]:
        """Return the first bytes of the page-locked part."""
        return self._bytes[:size]


def _view(address: int, size: int) -> NDArray[np.uint8]:
    import ctypes

    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
