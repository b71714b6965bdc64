"""Builds and runs plans with TensorRT's Python API. Needs a GPU; not run where it was written.

Names and signatures are those of TensorRT 10.13 to 10.16
(https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/index.html); its bindings
were read for them. TensorRT 11 has no weakly typed networks and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from export.errors import ExportError
from export.tensorrt.golden import Feed
from export.tensorrt.graph import for_tensorrt
from gateway.capacity.facts import plan_workspace
from gateway.triton.tensorrt_plans.declared import PlanDeclaration

_FLOAT8 = (onnx.TensorProto.FLOAT8E4M3FN, onnx.TensorProto.FLOAT8E5M2)


class PlanEngine(Protocol):
    """Builds and runs plans."""

    def build(
        self, graph: Path, declaration: PlanDeclaration, precision: str, timings: bytes
    ) -> tuple[bytes, bytes]:
        """Return the plan, and the timing cache with what was timed for it.

        Raises:
            ExportError: It cannot be built.
        """

    def run(self, plan: bytes, feed: Feed, outputs: list[str]) -> list[Any]:
        """Return outputs of a plan by name.

        Raises:
            ExportError: It cannot be run.
        """


def is_quantised(graph: Path) -> bool:
    """Whether a graph's own quantisation nodes say what is FP8; no precision flag can."""
    model = onnx.load(str(graph), load_external_data=False)
    eight = {
        initializer.name
        for initializer in model.graph.initializer
        if initializer.data_type in _FLOAT8
    }
    return any(
        node.op_type == "DequantizeLinear" and not eight.isdisjoint(node.input)
        for node in model.graph.node
    )


class TensorRtEngine:
    """TensorRT, and torch for the memory of the device."""

    def __init__(self) -> None:
        """Import both.

        Raises:
            ExportError: One is missing, or torch sees no GPU.
        """
        try:
            tensorrt: Any = import_module("tensorrt")
            import torch
        except ImportError as error:
            raise ExportError(f"plans need tensorrt and torch: {error}") from None
        if not torch.cuda.is_available():
            raise ExportError("this torch sees no GPU: plans need its CUDA build")
        if not hasattr(tensorrt.BuilderFlag, "FP16"):
            raise ExportError(f"TensorRT {tensorrt.__version__} is too new: 10.x is needed")
        self._trt = tensorrt
        self._torch = torch
        self._device = "cuda"
        self._logger = tensorrt.Logger(tensorrt.Logger.WARNING)

    def build(
        self, graph: Path, declaration: PlanDeclaration, precision: str, timings: bytes
    ) -> tuple[bytes, bytes]:
        """See PlanEngine."""
        trt = self._trt
        builder = trt.Builder(self._logger)
        network = builder.create_network(self._network_flags(graph, precision))
        parser = trt.OnnxParser(network, self._logger)
        changed = for_tensorrt(graph)
        if not (parser.parse(changed) if changed else parser.parse_from_file(str(graph))):
            errors = [parser.get_error(number).desc() for number in range(parser.num_errors)]
            raise ExportError(f"{declaration.model}: TensorRT cannot read it: {errors[:3]}")
        config = builder.create_builder_config()
        _, card = self._torch.cuda.mem_get_info()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan_workspace(card))
        config.clear_flag(trt.BuilderFlag.TF32)  # ten bits of mantissa are not FP32
        if precision in ("FP16", "BF16"):
            config.set_flag(getattr(trt.BuilderFlag, precision))
        profile = builder.create_optimization_profile()
        for name, shapes in declaration.inputs.items():
            profile.set_shape(name, shapes.smallest, shapes.tuned, shapes.largest)
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"{declaration.model}: TensorRT does not take the shapes")
        for known in (timings, b""):  # one of another driver, or a damaged one, is not taken
            cache = config.create_timing_cache(known)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                break
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise ExportError(f"{declaration.model}: TensorRT cannot build it in {precision}")
        return bytes(plan), bytes(config.get_timing_cache().serialize())

    def run(self, plan: bytes, feed: Feed, outputs: list[str]) -> list[Any]:
        """See PlanEngine."""
        return self.opened(plan)(feed, outputs)

    def opened(self, plan: bytes) -> Callable[[Feed, list[str]], list[Any]]:
        """Return a plan in the device's memory, to be called with inputs and output names.

        Raises:
            ExportError: It cannot be read.
        """
        runtime = self._trt.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ExportError("TensorRT cannot read the plan it has just built")
        context = engine.create_execution_context()
        return lambda feed, outputs: self._call(engine, context, feed, outputs)

    def _call(self, engine: Any, context: Any, feed: Feed, outputs: list[str]) -> list[Any]:
        torch = self._torch
        rows = {name: np.ascontiguousarray(value) for name, value in feed.items()}
        tensors = {name: torch.from_numpy(value).to(self._device) for name, value in rows.items()}
        for name, tensor in tensors.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                raise ExportError(f"the plan takes no {name} of {tuple(tensor.shape)}")
        for name in outputs:
            shape = tuple(context.get_tensor_shape(name))
            if min(shape, default=0) < 0:
                raise ExportError(f"the shape of {name} depends on the data: {shape}")
            kind = torch.from_numpy(np.empty(0, self._trt.nptype(engine.get_tensor_dtype(name))))
            tensors[name] = torch.empty(shape, dtype=kind.dtype, device=self._device)
        for name, tensor in tensors.items():
            context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.Stream()
        torch.cuda.synchronize()  # inputs were copied on another stream
        if not context.execute_async_v3(stream.cuda_stream):
            raise ExportError("TensorRT could not run the plan")
        stream.synchronize()
        return [tensors[name].cpu().numpy() for name in outputs]

    def _network_flags(self, graph: Path, precision: str) -> int:
        """FP8 is what quantisation nodes say, so the graph's own types must hold."""
        if precision != "FP8":
            return 0
        if not is_quantised(graph):
            raise ExportError("FP8 needs a graph with FP8 quantisation nodes; this one has none")
        return int(1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
