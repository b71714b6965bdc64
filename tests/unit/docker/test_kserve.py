"""The KServe example names models and versions that exist."""

from __future__ import annotations

import yaml

from gateway.model_config import load
from tests.support.containers import DOCKER, ROOT, versions


def test_the_example_loads_plain_models_in_the_images_version() -> None:
    service = yaml.safe_load((DOCKER / "kserve" / "inference-service.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert model["runtimeVersion"] == versions()["TRITON_TAG"]
    loaded = [
        argument.partition("=")[2]
        for argument in model["args"]
        if argument.startswith("--load-model=")
    ]
    assert loaded
    for name in loaded:
        config = load(ROOT / "model_repository" / name / "config.pbtxt")
        assert config.backend == "onnxruntime", f"{name} is not plain"
