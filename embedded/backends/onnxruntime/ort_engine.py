"""Loads and runs an ONNX graph with ONNX Runtime on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from ort_options import run_options, session_options
from pentad_backend.configuration import Config
from pentad_backend.tensors import LoadError, TensorInfo

_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float": "TYPE_FP32",
    "double": "TYPE_FP64",
    "string": "TYPE_STRING",
    "bfloat16": "TYPE_BF16",
}
"""Element types of ONNX Runtime's `tensor(...)` and their names in Triton."""


class OrtEngine:
    """An inference session and the signature of its graph."""

    def __init__(self, session: ort.InferenceSession, options: ort.RunOptions | None) -> None:
        """Reads the signature.

        Raises:
            LoadError: An input or output is not a plain tensor.
        """
        self._session = session
        self._options = options
        self.inputs = {arg.name: _info(arg) for arg in session.get_inputs()}
        self.overridable = {arg.name: _info(arg) for arg in session.get_overridable_initializers()}
        self.outputs = {arg.name: _info(arg) for arg in session.get_outputs()}

    @classmethod
    def load(cls, config: Config, path: Path, instance_kind: str) -> OrtEngine:
        """Opens a session with the options that the configuration asks for.

        Raises:
            LoadError: Bad options, or not a valid model.
        """
        if instance_kind == "GPU":
            logging.getLogger(__name__).warning("the embedded onnxruntime computes on the CPU")
        options = session_options(config)
        try:
            session = ort.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise LoadError(f"onnx runtime error: {error}") from error
        return cls(session, run_options(config))

    def run(self, feeds: dict[str, Any], outputs: Sequence[str]) -> Sequence[Any]:
        """One forward pass; see `pentad_backend.batching.Engine`."""
        results: Sequence[Any] = self._session.run(outputs, feeds, self._options)
        return results


def _info(arg: Any) -> TensorInfo:
    kind, _, rest = arg.type.partition("(")
    if kind != "tensor":
        raise LoadError(f"Unsupported ONNX Type '{arg.type}' for I/O '{arg.name}', expected tensor")
    element = rest[:-1]
    shape = tuple(size if isinstance(size, int) else -1 for size in arg.shape)
    return TensorInfo(_TYPES.get(element, f"TYPE_{element.upper()}"), shape)
