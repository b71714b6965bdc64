"""Triton backend `tensorrt` on the Python package of that name."""

from __future__ import annotations

from pentad_backend.placement import Placement
from pentad_backend.triton_model import EngineModel


class TritonPythonModel(EngineModel):
    """Serves `model.plan`."""

    engine = "trt_engine", "TrtEngine"
    default_filename = "model.plan"
    completion_placement = Placement("GPU")  # a plan cannot be read without one
