"""Triton backend `tensorrt` on the Python package of that name."""

from __future__ import annotations

from pathlib import Path

from pentad_backend.batching import Engine
from pentad_backend.configuration import Config
from pentad_backend.placement import Placement
from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.plan`."""

    default_filename = "model.plan"
    completion_placement = Placement("GPU")  # a plan cannot be read without one

    @staticmethod
    def load(config: Config, path: Path, placement: Placement) -> Engine:
        """See EngineModel."""
        # Imported late, as in the onnxruntime backend.
        from trt_engine import TrtEngine

        return TrtEngine.load(config, path, placement)
