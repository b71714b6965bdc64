"""Triton backend `onnxruntime` on the Python package of that name."""

from __future__ import annotations

from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.onnx`."""

    engine = "ort_engine", "OrtEngine"
    default_filename = "model.onnx"
