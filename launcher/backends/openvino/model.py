"""Triton backend `openvino` on the Python package of that name."""

from __future__ import annotations

from pathlib import Path

from pentad_backend.batching import Engine
from pentad_backend.configuration import Config
from pentad_backend.placement import Placement
from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.xml`, or the ONNX file that `default_model_filename` names."""

    default_filename = "model.xml"
    infer_batching = False  # the C++ backend asks the graph's layout, which ONNX does not have

    @staticmethod
    def load(config: Config, path: Path, placement: Placement) -> Engine:
        """See EngineModel."""
        # Imported late, as in the onnxruntime backend.
        from ov_engine import OvEngine

        return OvEngine.load(config, path, placement.kind)
