"""The real onnxruntime-gpu of requirements/gpu.lock on a machine without an NVIDIA driver.

What it answers there is what the stand-in of `test_onnxruntime_gpu.py` says: its libraries are
missing, it offers both providers all the same, and computes on the CPU without an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.layout import BACKENDS
from tests.support.plan_models import graph

ROOT = Path(__file__).resolve().parents[4]
LOCK = ROOT / "requirements" / "gpu.lock"
SCRIPT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
sys.path[:0] = sys.argv[1:4]
import numpy as np
import onnxruntime as ort
from ort_engine import OrtEngine
from ort_gpu import unavailable
from pentad_backend.placement import Placement
accelerator = {"name": "tensorrt", "parameters": {"precision_mode": "FP16"}}
config = {
    "name": "tiny", "parameters": {},
    "optimization": {"execution_accelerators": {"gpu_execution_accelerator": [accelerator]}},
}
engine = OrtEngine.load(config, Path(sys.argv[4]), Placement("GPU"))
(y,) = engine.run({"x": np.zeros((1, 2), np.float32)}, ["y"])
print(json.dumps({
    "providers": ort.get_available_providers(), "computed": asdict(engine.computed),
    "tensorrt": unavailable("TensorrtExecutionProvider"), "y": y.tolist(),
}))
"""


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is a driver")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="gpu.lock has nothing for this Python")
def test_the_cpu_computes_and_the_missing_library_is_named(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--target", str(site), "-r", str(LOCK)]
    subprocess.run(command, check=True)
    (tmp_path / "model.onnx").write_bytes(graph(1.0))
    folders = [str(site), str(BACKENDS), str(BACKENDS / "onnxruntime")]
    given = [sys.executable, "-c", SCRIPT, *folders, str(tmp_path / "model.onnx")]
    out = subprocess.run(given, check=True, capture_output=True, text=True).stdout
    found = json.loads(out.splitlines()[-1])
    assert {"CUDAExecutionProvider", "TensorrtExecutionProvider"} <= set(found["providers"])
    assert found["computed"]["provider"] == "cpu"
    assert found["computed"]["reason"].endswith(" is missing")
    assert found["computed"]["reason"].startswith(("libcublasLt.so.13", "libcuda.so.1"))
    assert found["tensorrt"].endswith(" is missing")
    assert found["y"] == [[1.0, 1.0]]
