"""Whether this process can compute on a GPU with ONNX Runtime, by trying it.

ONNX Runtime itself only logs why a provider could not be made, and computes on the CPU instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import onnxruntime as ort
from ort_accelerators import CUDA, TENSORRT
from ort_options import FLUSH

_LIBRARIES = {
    CUDA: "libonnxruntime_providers_cuda.so",
    TENSORRT: "libonnxruntime_providers_tensorrt.so",
}
_NAMES = {CUDA: "CUDA", TENSORRT: "TensorRT"}
_MISSING = re.compile(r"^([\w.+-]+): cannot open shared object file")
_CUDA_ERROR = re.compile(r"(?:CUDA|CUDNN|CUBLAS) failure \d+: ([^;\n]+)")

log = logging.getLogger(__name__)


def unusable(device: int) -> str:
    """Why the CUDA provider does not work on a GPU; empty where it does.

    Loads the libraries, opens a session on the card and runs a kernel there, which also finds a
    driver that is too old, a card that somebody else holds, and one that has no kernels here.
    """
    if reason := unavailable(CUDA):
        return reason
    try:
        _try_kernel(device)
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        return cuda_reason(error)
    return ""


def unavailable(provider: str) -> str:
    """Why a provider cannot be loaded here; empty where it can."""
    if provider not in ort.get_available_providers():
        return f"this onnxruntime has no {_NAMES[provider]} provider; onnxruntime-gpu has"
    _preload(provider)
    folder = Path(ort.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / _LIBRARIES[provider]))
    except OSError as error:
        log.warning("%s cannot be loaded: %s", provider, error)
        library = _MISSING.match(str(error))
        return (
            f"{library[1]} is missing" if library else f"the {_NAMES[provider]} provider is broken"
        )
    return ""


def cuda_reason(error: Exception) -> str:
    """Return what an error of the CUDA provider says, without source files and paths."""
    log.warning("CUDA does not work: %s", error)
    message = _CUDA_ERROR.search(str(error))
    return (
        f"CUDA: {message[1].strip()}" if message else "the CUDA provider does not work on this card"
    )


def _preload(provider: str) -> None:
    """Load what PyPI's NVIDIA packages hold, which no search path of the system names."""
    ort.preload_dlls()
    if provider == TENSORRT:
        with contextlib.suppress(ImportError, OSError):
            import_module("tensorrt")


def _try_kernel(device: int) -> None:
    """Add two numbers on a card.

    Raises:
        Exception: ONNX Runtime could not.
        RuntimeError: It did not use the card.
    """
    providers = [(CUDA, {"device_id": str(device)}), "CPUExecutionProvider"]
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(FLUSH, "1")  # only the first session of a process may say so
    session = ort.InferenceSession(_sum(), options, providers=providers, enable_fallback=0)
    if CUDA not in session.get_providers():
        raise RuntimeError("the session has no CUDA provider")
    ones = np.ones(1, np.float32)
    (two,) = session.run(None, {"x": ones})
    if two[0] != 2:
        raise RuntimeError(f"1 + 1 is {two[0]} on the card")


def _sum() -> bytes:
    """Return a graph that adds its input, FP32 [1], to itself."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "sum", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())
