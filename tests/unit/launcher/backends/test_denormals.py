"""The engines of the Python-based backends take denormal activations for zero.

Each in a process of its own, as Triton has it: ONNX Runtime's setting is the first session's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.support.tiny_networks import products

BACKENDS = Path(__file__).resolve().parents[4] / "launcher" / "backends"
WEIGHTS = [2e-19, 2e-19, 0.01]
"""One after the other they make a denormal of 1; none is small enough to be set to zero."""
PROGRAM = """
import json, sys
from pathlib import Path
sys.path += sys.argv[1:3]
import numpy as np
name, kind, config = json.loads(sys.argv[4])
module = __import__(name)
from pentad_backend.placement import Placement
engine = getattr(module, {"ort_engine": "OrtEngine", "ov_engine": "OvEngine"}[name])
engine = engine.load(config, Path(sys.argv[3]), Placement(kind))
rows = np.ones((2, 4096), np.float32)
(y,) = engine.run({"x": rows}, ["y"])
print(json.dumps(float(np.abs(y).astype(np.float64).max())))
"""


def largest(folder: Path, backend: str, engine: str, kind: str, **parameters: str) -> float:
    """Largest output of the engine for ones."""
    file = folder / "repository" / "tiny" / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    onnx.save(products(WEIGHTS), str(file))
    config = {"parameters": {key: {"string_value": text} for key, text in parameters.items()}}
    arguments = [str(BACKENDS), str(BACKENDS / backend), str(file)]
    given = json.dumps([engine, kind, config])
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, given],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    return float(json.loads(finished.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("backend", "engine", "kind"),
    [
        ("onnxruntime", "ort_engine", "CPU"),
        ("onnxruntime", "ort_engine", "GPU"),  # without a card: the CPU, after a try
        ("openvino", "ov_engine", "CPU"),
    ],
)
def test_denormal_activations_are_zero(
    backend: str, engine: str, kind: str, tmp_path: Path
) -> None:
    assert largest(tmp_path, backend, engine, kind) == 0


def test_a_model_may_want_them(tmp_path: Path) -> None:
    setting = {"session.set_denormal_as_zero": "0"}
    assert 0 < largest(tmp_path, "onnxruntime", "ort_engine", "CPU", **setting) < 1e-37
