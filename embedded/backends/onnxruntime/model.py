"""Triton backend `onnxruntime` on the Python package of that name."""

from ort_engine import OrtEngine
from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.onnx`."""

    default_filename = "model.onnx"
    load = staticmethod(OrtEngine.load)
