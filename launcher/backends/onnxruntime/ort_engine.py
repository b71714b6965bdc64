"""Loads and runs an ONNX graph with ONNX Runtime, on the GPU that Triton names or on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from ort_accelerators import CPU, CUDA, TENSORRT, Provider, gpu_providers
from ort_gpu import cuda_reason, unavailable, unusable
from ort_options import run_options, session_options
from pentad_backend.configuration import Config
from pentad_backend.placement import ON_CPU, Computed, Placement
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

log = logging.getLogger(__name__)


class OrtEngine:
    """An inference session and the signature of its graph."""

    version: str = ort.__version__

    def __init__(
        self,
        session: ort.InferenceSession,
        options: ort.RunOptions | None,
        computed: Computed = ON_CPU,
    ) -> None:
        """Read the signature.

        Raises:
            LoadError: An input or output is not a plain tensor.
        """
        self._session = session
        self._options = options
        self.computed = computed
        self.inputs = {arg.name: _info(arg) for arg in session.get_inputs()}
        self.overridable = {arg.name: _info(arg) for arg in session.get_overridable_initializers()}
        self.outputs = {arg.name: _info(arg) for arg in session.get_outputs()}

    @classmethod
    def load(cls, config: Config, path: Path, placement: Placement) -> OrtEngine:
        """Open a session with the options that the configuration asks for.

        On a GPU where that works; else on the CPU, and `computed` says why.

        Raises:
            LoadError: Bad options, or not a valid model.
        """
        options = session_options(config)
        if not placement.wants_gpu:
            return cls(_open(path, options, []), run_options(config))
        wanted = gpu_providers(config, placement)  # refused on a machine without a GPU, too
        session, computed = _open_on_gpu(path, options, wanted, placement.device)
        if computed.reason:
            log.warning("%s: %s", config.get("name", ""), computed.reason)
        return cls(session, run_options(config), computed)

    def run(self, feeds: dict[str, Any], outputs: Sequence[str]) -> Sequence[Any]:
        """One forward pass; see `pentad_backend.batching.Engine`."""
        results: Sequence[Any] = self._session.run(outputs, feeds, self._options)
        return results


def _open_on_gpu(
    path: Path, options: ort.SessionOptions, wanted: list[Provider], device: int
) -> tuple[ort.InferenceSession, Computed]:
    """Return a session with the best providers that work, and which they are.

    Raises:
        LoadError: The graph or an option is wrong, which no other device would mend.
    """
    if reason := unusable(device):
        return _open(path, options, []), Computed(reason=reason)
    reason, providers = "", wanted
    if wanted[0][0] == TENSORRT and (reason := unavailable(TENSORRT)):
        providers = wanted[1:]
    try:
        session = _open(path, options, providers)
    except LoadError as error:
        # An option that the provider does not take is the configuration's fault. What fails without
        # any option, too, is the card's: too little memory, mostly.
        try:
            _open(path, options, [(CUDA, {"device_id": str(device)})])
        except LoadError:
            return _open(path, options, []), Computed(reason=cuda_reason(error))
        raise
    used = session.get_providers()
    if CUDA not in used:
        return session, Computed(reason="no CUDA provider could be made; Triton's log says why")
    name = "tensorrt" if TENSORRT in used else "cuda"
    if name == "cuda" and providers[0][0] == TENSORRT:
        reason = "no TensorRT provider could be made; Triton's log says why"
    return session, Computed(name, f"cuda:{device}", reason)


def _open(
    path: Path, options: ort.SessionOptions, providers: list[Provider]
) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(
            str(path), options, providers=[*providers, CPU], enable_fallback=0
        )
    except Exception as error:
        raise LoadError(f"onnx runtime error: {error}") from error


def _info(arg: Any) -> TensorInfo:
    kind, _, rest = arg.type.partition("(")
    if kind != "tensor":
        raise LoadError(f"Unsupported ONNX Type '{arg.type}' for I/O '{arg.name}', expected tensor")
    element = rest[:-1]
    shape = tuple(size if isinstance(size, int) else -1 for size in arg.shape)
    return TensorInfo(_TYPES.get(element, f"TYPE_{element.upper()}"), shape)
