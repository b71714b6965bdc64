"""Stands in for Triton's TensorRT backend: a plan is a number that is added, if it is one."""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args: dict) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        self.summand = np.float32((folder / config["default_model_filename"]).read_text())

    def execute(self, requests: list) -> list:
        answers = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("y", x + self.summand)]))
        return answers
