"""Returns its input by way of NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Copies INPUT, FP32 [-1], to OUTPUT."""

    def execute(
        self, requests: Sequence[pb_utils.InferenceRequest]
    ) -> list[pb_utils.InferenceResponse]:
        """Answers each request."""
        responses = []
        for request in requests:
            (tensor,) = request.inputs()
            output = pb_utils.Tensor("OUTPUT", np.array(tensor.as_numpy()))
            responses.append(pb_utils.InferenceResponse([output]))
        return responses
