"""Triton backend `onnxruntime` on the Python package of that name."""

from __future__ import annotations

from pathlib import Path

from pentad_backend.batching import Engine
from pentad_backend.configuration import Config
from pentad_backend.placement import Placement
from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.onnx`."""

    default_filename = "model.onnx"

    @staticmethod
    def load(config: Config, path: Path, placement: Placement) -> Engine:
        """See EngineModel."""
        # Imported late: Triton first asks a stub of its own to complete the configuration, which
        # mostly needs no engine.
        from ort_engine import OrtEngine

        return OrtEngine.load(config, path, placement)
