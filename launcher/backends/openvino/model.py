"""Triton backend `openvino` on the Python package of that name."""

from __future__ import annotations

from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.xml`, or the ONNX file that `default_model_filename` names."""

    engine = "ov_engine", "OvEngine"
    default_filename = "model.xml"
    infer_batching = False  # the C++ backend asks the graph's layout, which ONNX does not have
