"""Loads and runs a plan with TensorRT's Python API (10.x) on the GPU that Triton names.

Not run on a GPU where it was written: names and signatures are those of TensorRT 10.13's bindings.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pentad_backend.configuration import Config, max_batch_size
from pentad_backend.placement import Computed, Placement
from pentad_backend.tensors import NUMPY_TYPES, LoadError, RequestError, TensorInfo
from trt_cuda import Buffer, Cuda

_TYPES = {
    "FLOAT": "TYPE_FP32",
    "HALF": "TYPE_FP16",
    "INT8": "TYPE_INT8",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "UINT8": "TYPE_UINT8",
    "BOOL": "TYPE_BOOL",
}
"""TensorRT's data types that NumPy has, and their names in Triton."""
Shape = tuple[int, ...]

log = logging.getLogger(__name__)


class TrtEngine:
    """A plan in a card's memory with one execution context, for one call at a time."""

    def __init__(self, trt: Any, engine: Any, cuda: Cuda, config: Config, group: str) -> None:
        """Read the signature and prepare the context.

        Args:
            trt: The module `tensorrt`, or what behaves like it.
            engine: Its ICudaEngine.
            cuda: The card that it was read on.
            config: Model configuration.
            group: Name of the instance, which begins with that of its group.

        Raises:
            LoadError: The plan has tensors that cannot be served, or not the profile asked for.
        """
        self._runtime: Any = None  # must live as long as what it has read
        self._cuda = cuda
        self._engine = engine
        self.computed = Computed("tensorrt", f"cuda:{cuda.device}")
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.version = str(getattr(trt, "__version__", ""))
        self.inputs = {name: _info(trt, engine, name) for name in inputs}
        self.overridable: dict[str, TensorInfo] = {}
        self.outputs = {name: _info(trt, engine, name) for name in names if name not in inputs}
        profile = _profile(config, group, engine.num_optimization_profiles)
        self._bounds = {name: _bounds(engine, name, profile) for name in inputs}
        _check_batch(config, self._bounds)
        self._buffers = {name: Buffer(cuda) for name in names}
        self._context = engine.create_execution_context()
        if self._context is None:
            raise LoadError("there is not enough memory on the GPU to run the plan")
        if profile and not self._context.set_optimization_profile_async(
            profile, cuda.stream_handle
        ):
            raise LoadError(f"the plan's profile {profile} cannot be used")
        cuda.wait()

    @classmethod
    def load(cls, config: Config, path: Path, placement: Placement) -> TrtEngine:
        """Read a plan.

        Raises:
            LoadError: There is no GPU or no TensorRT, or they cannot read this plan.
        """
        name = config.get("name", "")
        if not placement.wants_gpu:
            raise LoadError(
                f"unable to load model '{name}', TensorRT backend supports only GPU device"
            )
        # CUDA first: TensorRT without a card that works ends the process instead of telling.
        cuda = Cuda(placement.device)
        try:
            trt = import_module("tensorrt")
        except (ImportError, OSError) as error:
            log.warning("tensorrt cannot be imported: %s", error)
            raise LoadError("plans need the package tensorrt, which cannot be imported") from None
        runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        engine = runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise LoadError(
                f"TensorRT {trt.__version__} cannot read the plan of '{name}' on this GPU: "
                "`python -m export plans` builds it anew"
            )
        loaded = cls(trt, engine, cuda, config, placement.group)
        loaded._runtime = runtime
        return loaded

    def run(self, feeds: dict[str, NDArray[Any]], outputs: Sequence[str]) -> Sequence[Any]:
        """One forward pass; see `pentad_backend.batching.Engine`.

        The arrays are views of page-locked memory, valid until the next pass.

        Raises:
            RequestError: The plan takes no such shape.
            CudaError: The card failed.
        """
        self._cuda.use()
        for name, array in feeds.items():
            self._give(name, np.ascontiguousarray(array))
        shapes = {name: self._reserve(name) for name in self.outputs}
        if not self._context.execute_async_v3(self._cuda.stream_handle):
            raise RuntimeError("TensorRT could not run the plan")
        arrays = {name: self._take(name, shapes[name]) for name in outputs}
        self._cuda.wait()
        return [arrays[name] for name in outputs]

    def _give(self, name: str, array: NDArray[Any]) -> None:
        smallest, largest = self._bounds[name]
        for place, (low, size, high) in enumerate(zip(smallest, array.shape, largest, strict=True)):
            if not low <= size <= high:
                raise RequestError(
                    f"request specifies invalid shape for input '{name}'. Error details: model "
                    f"expected the shape of dimension {place} to be between {low} and {high} but "
                    f"received {size}"
                )
        buffer = self._buffers[name]
        buffer.reserve(array.nbytes)
        if not self._context.set_input_shape(name, tuple(array.shape)):
            raise RequestError(f"the plan takes no input '{name}' of shape {list(array.shape)}")
        self._cuda.to_device(buffer, array)
        self._context.set_tensor_address(name, buffer.device)

    def _reserve(self, name: str) -> Shape:
        """Room for an output of the shape that follows from the inputs'."""
        shape = tuple(int(size) for size in self._context.get_tensor_shape(name))
        if min(shape, default=0) < 0:
            raise RuntimeError(f"the shape of output '{name}' depends on the data")
        buffer = self._buffers[name]
        buffer.reserve(_bytes(self.outputs[name], shape))
        self._context.set_tensor_address(name, buffer.device)
        return shape

    def _take(self, name: str, shape: Shape) -> NDArray[Any]:
        info = self.outputs[name]
        raw = self._cuda.to_host(self._buffers[name], _bytes(info, shape))
        return raw.view(NUMPY_TYPES[info.data_type]).reshape(shape)


def _info(trt: Any, engine: Any, name: str) -> TensorInfo:
    if engine.is_shape_inference_io(name):
        raise LoadError(f"tensor '{name}' is a shape, which this embedded backend cannot serve")
    if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
        raise LoadError(f"tensor '{name}' is not on the GPU, which this backend cannot serve")
    kind = engine.get_tensor_dtype(name).name
    if kind not in _TYPES:
        raise LoadError(f"unsupported datatype {kind} for '{name}'")
    return TensorInfo(_TYPES[kind], tuple(int(size) for size in engine.get_tensor_shape(name)))


def _profile(config: Config, group: str, count: int) -> int:
    """Return the optimisation profile of the instance's group; the first by default.

    Raises:
        LoadError: The plan has no such profile, or the group names several.
    """
    named = [
        str(profile)
        for instances in config.get("instance_group") or []
        if f"{group}_".startswith(f"{instances.get('name')}_")
        for profile in instances.get("profile") or []
    ]
    if len(named) > 1:
        raise LoadError("this embedded backend serves one profile per instance group")
    text = named[0] if named else "0"
    if not text.isdecimal() or int(text) >= count:
        raise LoadError(f"the plan has no optimization profile {text}; it has {count}")
    return int(text)


def _bounds(engine: Any, name: str, profile: int) -> tuple[Shape, Shape]:
    """Smallest and largest shape of an input."""
    low, _, high = engine.get_tensor_profile_shape(name, profile)
    return tuple(int(size) for size in low), tuple(int(size) for size in high)


def _check_batch(config: Config, bounds: dict[str, tuple[Shape, Shape]]) -> None:
    """Refuses batches that the plan does not take.

    Raises:
        LoadError: `max_batch_size` is beyond it.
    """
    wanted = max_batch_size(config)
    largest = min((high[0] for _, high in bounds.values() if high), default=0)
    if wanted > largest:
        raise LoadError(
            f"unable to load model '{config.get('name', '')}', configuration specified max-batch "
            f"{wanted} but TensorRT engine only supports max-batch {largest}"
        )


def _bytes(info: TensorInfo, shape: Shape) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(NUMPY_TYPES[info.data_type]).itemsize
