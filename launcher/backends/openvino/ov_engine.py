"""Loads and runs a graph with OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ov_compiled import DEVICE, compile_graph
from ov_options import check_batching, device_properties, switched_on
from ov_silent import openvino as ov
from pentad_backend.configuration import Config, dims, max_batch_size, parameter
from pentad_backend.placement import ON_CPU, Placement
from pentad_backend.tensors import LoadError, TensorInfo

_TYPES = {
    "boolean": "TYPE_BOOL",
    "u8": "TYPE_UINT8",
    "u16": "TYPE_UINT16",
    "u32": "TYPE_UINT32",
    "u64": "TYPE_UINT64",
    "i8": "TYPE_INT8",
    "i16": "TYPE_INT16",
    "i32": "TYPE_INT32",
    "i64": "TYPE_INT64",
    "f16": "TYPE_FP16",
    "f32": "TYPE_FP32",
    "f64": "TYPE_FP64",
}
"""OpenVINO's element types that Triton's openvino backend takes; strings are not among them."""


class OvEngine:
    """A compiled graph with one inference request."""

    version: str = ov.__version__

    def __init__(self, compiled: ov.CompiledModel) -> None:
        """Read the signature and prepare the request."""
        self.inputs = {port.get_any_name(): _info(port) for port in compiled.inputs}
        self.overridable: dict[str, TensorInfo] = {}
        self.outputs = {port.get_any_name(): _info(port) for port in compiled.outputs}
        self.computed = ON_CPU
        self._places = {name: place for place, name in enumerate(self.inputs)}
        self._results = {name: place for place, name in enumerate(self.outputs)}
        self._request = compiled.create_infer_request()

    @classmethod
    def load(cls, config: Config, path: Path, placement: Placement) -> OvEngine:
        """Compiles the graph for the CPU.

        Raises:
            LoadError: Bad parameters, or not a valid model.
        """
        check_batching(config, placement.kind)
        properties = device_properties(config)
        try:
            core = ov.Core()
            if extension := parameter(config, "CPU_EXTENSION_PATH"):
                core.add_extension(extension)
            if switched_on(config, "RESHAPE_IO_LAYERS"):
                model = core.read_model(path)
                _reshape(config, model)
                compiled = core.compile_model(model, DEVICE, properties)
            else:
                compiled = compile_graph(core, path, properties)
        except Exception as error:
            raise LoadError(f"openvino error: {error}") from error
        return cls(compiled)

    def run(self, feeds: dict[str, Any], outputs: Sequence[str]) -> Sequence[Any]:
        """One forward pass; see `pentad_backend.batching.Engine`.

        The arrays are views of the request's memory, valid until the next pass.
        """
        request = self._request
        for name, array in feeds.items():
            tensor = ov.Tensor(array, shared_memory=array.flags.c_contiguous)
            request.set_input_tensor(self._places[name], tensor)
        request.infer()
        return [request.get_output_tensor(self._results[name]).data for name in outputs]


def _info(port: Any) -> TensorInfo:
    element = port.get_element_type().get_type_name()
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        raise LoadError(f"tensor '{port.get_any_name()}' has no fixed number of dimensions")
    sizes = tuple(-1 if size.is_dynamic else int(size.get_length()) for size in shape)
    return TensorInfo(_TYPES.get(element, f"unsupported {element}"), sizes)


def _reshape(config: Config, model: ov.Model) -> None:
    first = 1 if max_batch_size(config) else 0
    shapes = {}
    for io in config.get("input") or []:
        shape = model.input(io["name"]).get_partial_shape()
        for place, size in enumerate(dims(io), start=first):
            shape[place] = ov.Dimension(size)
        shapes[io["name"]] = shape
    model.reshape(shapes)
