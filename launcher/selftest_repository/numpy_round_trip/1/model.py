"""Returns its input by way of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Copies INPUT, FP32 [-1], to OUTPUT."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers each request."""
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
            output = pb_utils.Tensor("OUTPUT", np.array(values))
            responses.append(pb_utils.InferenceResponse([output]))
        return responses
