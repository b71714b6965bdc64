"""Stand-ins at the edge of the GPU: CUDA's runtime on plain memory, TensorRT on ONNX Runtime.

They have the names, arguments and answers of cuda-bindings 13 and TensorRT 10.13, and compute what
they are asked to: a plan is the bytes of an ONNX graph with shapes for its profile, addresses are
real ones. What they cannot show is that a card does the same.
"""

from __future__ import annotations

import ctypes
import enum
import json
from typing import Any

import numpy as np
import onnxruntime as ort


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class Cudart:
    """`cuda.bindings.runtime` with a card of `limit` bytes; copies happen when the stream is waited
    for, so that whoever reads too early reads rubbish."""

    cudaError_t = cudaError_t
    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamNonBlocking = 1
    cudaHostAllocDefault = 0

    def __init__(self, devices: int = 1, limit: int = 2**30, driver: bool = True) -> None:
        self.devices, self.limit, self.driver = devices, limit, driver
        self.blocks: dict[int, Any] = {}
        self.device = -1
        self.queue: list[Any] = []
        self.pinned: set[int] = set()

    def cudaGetDeviceCount(self) -> tuple[Any, Any]:
        if not self.driver:
            return cudaError_t.cudaErrorInsufficientDriver, None
        return cudaError_t.cudaSuccess, self.devices

    def cudaSetDevice(self, device: int) -> tuple[Any]:
        self.device = device
        return (cudaError_t.cudaSuccess,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, Any]:
        return cudaError_t.cudaSuccess, 7

    def cudaGetErrorString(self, status: Any) -> tuple[Any, bytes]:
        words = {2: b"out of memory", 35: b"CUDA driver version is insufficient"}
        return cudaError_t.cudaSuccess, words[int(status)]

    def cudaMalloc(self, size: int) -> tuple[Any, Any]:
        used = sum(
            len(block) for address, block in self.blocks.items() if address not in self.pinned
        )
        if used + size > self.limit:
            return cudaError_t.cudaErrorMemoryAllocation, None
        block = (ctypes.c_uint8 * size)(*([0xA5] * min(size, 16)))
        address = ctypes.addressof(block)
        self.blocks[address] = block
        return cudaError_t.cudaSuccess, address

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, Any]:
        block = (ctypes.c_uint8 * size)()
        address = ctypes.addressof(block)
        self.blocks[address] = block
        self.pinned.add(address)
        return cudaError_t.cudaSuccess, address

    def cudaFree(self, address: int) -> tuple[Any]:
        del self.blocks[address]
        return (cudaError_t.cudaSuccess,)

    def cudaFreeHost(self, address: int) -> tuple[Any]:
        self.pinned.remove(address)
        del self.blocks[address]
        return (cudaError_t.cudaSuccess,)

    def cudaMemcpyAsync(
        self, to: int, source: int, size: int, kind: Any, stream: Any
    ) -> tuple[Any]:
        self.within(to, size)
        self.within(source, size)
        host = source if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else to
        assert any(base <= host < base + len(self.blocks[base]) for base in self.pinned)
        self.queue.append(lambda: ctypes.memmove(to, source, size))
        return (cudaError_t.cudaSuccess,)

    def cudaStreamSynchronize(self, stream: Any) -> tuple[Any]:
        for work in self.queue:
            work()
        self.queue.clear()
        return (cudaError_t.cudaSuccess,)

    def within(self, address: int, size: int) -> None:
        assert any(
            base <= address and address + size <= base + len(block)
            for base, block in self.blocks.items()
        ), "outside of what was allocated"


class DataType(enum.Enum):
    FLOAT, HALF, BF16, INT32, INT64, UINT8, BOOL = range(7)


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class TensorLocation(enum.Enum):
    DEVICE, HOST = range(2)


_KINDS = {
    "tensor(float)": DataType.FLOAT,
    "tensor(float16)": DataType.HALF,
    "tensor(bfloat16)": DataType.BF16,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(uint8)": DataType.UINT8,
    "tensor(bool)": DataType.BOOL,
}
_NUMPY = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.UINT8: np.uint8,
    DataType.BOOL: np.bool_,
}


def plan_of(graph: bytes, profiles: list[dict[str, Any]], version: str = "10.13.3.9") -> bytes:
    """A plan: for each profile the smallest, tuned and largest shape of each input."""
    head = json.dumps({"version": version, "profiles": profiles}).encode()
    return head + b"\n" + graph


class Trt:
    """The module `tensorrt`."""

    __version__ = "10.13.3.9"
    DataType = DataType
    TensorIOMode = TensorIOMode
    TensorLocation = TensorLocation

    class Logger:
        WARNING = 2

        def __init__(self, severity: int) -> None:
            self.severity = severity

    def __init__(self, cudart: Cudart) -> None:
        self.cudart = cudart
        self.profile = 0

    def Runtime(self, logger: Any) -> Any:
        assert self.cudart.driver, "without a driver the real one ends the process"
        assert self.cudart.device >= 0, "no device was chosen"
        return self

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        head, _, graph = plan.partition(b"\n")
        try:
            facts = json.loads(head)
        except ValueError:
            return None
        return _Engine(self, graph, facts) if facts["version"] == self.__version__ else None


class _Engine:
    def __init__(self, trt: Trt, graph: bytes, facts: dict[str, Any]) -> None:
        self.trt = trt
        self.session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.profiles = facts["profiles"]
        self.shapes = set(facts.get("shape_tensors", ()))
        self.given = {one.name: one for one in self.session.get_inputs()}
        self.made = {one.name: one for one in self.session.get_outputs()}
        self.names = [*self.given, *self.made]
        self.num_io_tensors = len(self.names)
        self.num_optimization_profiles = len(self.profiles)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.given else TensorIOMode.OUTPUT

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.DEVICE

    def is_shape_inference_io(self, name: str) -> bool:
        return name in self.shapes

    def get_tensor_dtype(self, name: str) -> DataType:
        return _KINDS[{**self.given, **self.made}[name].type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        sizes = {**self.given, **self.made}[name].shape
        return tuple(size if isinstance(size, int) else -1 for size in sizes)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self.profiles[profile_index][name]]

    def create_execution_context(self) -> _Context:
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self.engine.trt.profile = profile_index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """By running it on zeros."""
        feeds = {
            key: np.zeros(shape, _NUMPY[self.engine.get_tensor_dtype(key)])
            for key, shape in self.shapes.items()
        }
        return tuple(self.engine.session.run([name], feeds)[0].shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert set(self.addresses) == set(self.engine.names), "every tensor needs an address"
        self.engine.trt.cudart.queue.append(self._compute)
        return True

    def _compute(self) -> None:
        feeds = {name: self._at(name, shape).copy() for name, shape in self.shapes.items()}
        names = list(self.engine.made)
        for name, array in zip(names, self.engine.session.run(names, feeds), strict=True):
            self._at(name, array.shape)[...] = array

    def _at(self, name: str, shape: tuple[int, ...]) -> Any:
        kind = np.dtype(_NUMPY[self.engine.get_tensor_dtype(name)])
        size = int(np.prod(shape)) * kind.itemsize
        self.engine.trt.cudart.within(self.addresses[name], size)
        raw = (ctypes.c_uint8 * size).from_address(self.addresses[name])
        return np.frombuffer(raw, kind).reshape(shape)
