"""A real Triton's backends say where they compute, and the tensorrt backend refuses a CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
import pytest
from onnx import TensorProto
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from gateway.health.engine import Reports
from gateway.private_files import ENGINES
from launcher.server import TritonServer
from tests.support.waiting import wait_for

from .conftest import Models

GPU_OPTIONS = """
backend: "onnxruntime"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 3 ] } ]
instance_group [ { count: 2 } ]
optimization { execution_accelerators { gpu_execution_accelerator [
  { name: "tensorrt" parameters { key: "precision_mode" value: "FP16" } },
  { name: "cuda" parameters { key: "use_tf32" value: "0" } }
] } }
parameters { key: "cudnn_conv_algo_search" value { string_value: "1" } }
"""


def test_reports_live_as_long_as_their_processes(tmp_path: Path, graph: Any) -> None:
    shape = (TensorProto.FLOAT, ["batch", 3])
    double = graph([("Add", ["X", "X"], ["Y"])], {"X": shape}, {"Y": shape})
    repository, state = tmp_path / "repository", tmp_path / "state"
    repository.mkdir()
    (state / "triton").mkdir(mode=0o700, parents=True)
    (state / ENGINES).mkdir()
    (state / ENGINES / "old.1.json").write_text("{}")
    with TritonServer.on_free_ports(repository, state=state, log=tmp_path / "log") as server:
        models = Models(repository, server)
        assert list((state / ENGINES).iterdir()) == []
        models.load("double", GPU_OPTIONS, double)
        reports = sorted((state / ENGINES).iterdir())
        assert len(reports) == 2
        for file in reports:
            content = json.loads(file.read_text())
            assert content == {
                "backend": "onnxruntime", "version": onnxruntime.__version__, "provider": "cpu",
                "device": "cpu", "reason": "",
            }  # fmt: skip
        answer = models.infer("double", X=np.ones((1, 3), np.float32))
        assert answer["Y"].tolist() == [[2.0] * 3]
        found = Reports(state / ENGINES)
        assert found.of("double") is not None
        for file in reports:
            psutil.Process(int(file.name.split(".")[1])).kill()
        wait_for(lambda: set((state / ENGINES).iterdir()) - set(reports) or not found.of("double"))
        models.client.unload_model("double")
        models.client.close()
    assert found.of("double") is None


PLAN = """
backend: "tensorrt"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 3 ] } ]
"""


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("", "TensorRT backend supports only GPU device"),
        ("instance_group [ { kind: KIND_CPU } ]\n", "TensorRT backend supports only GPU device"),
        ("instance_group [ { kind: KIND_GPU } ]\n", "GPU"),
    ],
)
def test_a_plan_needs_a_gpu(models: Models, group: str, message: str) -> None:
    name = f"plan_{hash(group) % 10**6}"
    models.add(name, PLAN + group)
    (models.root / name / "1" / "model.plan").write_bytes(b"a plan")
    with pytest.raises(InferenceServerException, match=message):
        models.client.load_model(name)


def test_a_plan_that_is_not_there_is_named(models: Models) -> None:
    client: grpc.InferenceServerClient = models.client
    models.add("no_plan", PLAN)
    with pytest.raises(InferenceServerException, match=r"unable to find '1/model\.plan'"):
        client.load_model("no_plan")
