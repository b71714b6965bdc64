"""Nothing reports to its maker: no name is looked up and no file written in HOME."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, save

from tests.support.silence import heard, usable

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(not usable(), reason="no namespaces for users without rights")
SESSION = "onnxruntime.InferenceSession(sys.argv[1])"
OURS = {
    "an export": f"import sys, export, onnxruntime, openvino; {SESSION}; openvino.Core()",
    "a load test": f"import sys, load_tests, onnxruntime; {SESSION}",
}
SERVER = """
import sys
from pathlib import Path
import numpy as np
from tritonclient import grpc
from launcher.server import TritonServer
repository, log = map(Path, sys.argv[1:])
names = tuple(path.name for path in repository.iterdir())
x = grpc.InferInput("X", (1, 2), "FP32").set_data_from_numpy(np.ones((1, 2), np.float32))
with TritonServer.on_free_ports(repository, load_models=names, log=log) as server:
    with grpc.InferenceServerClient(server.grpc_url) as client:
        for name in names:
            assert client.infer(name, [x]).as_numpy("Y").tolist() == [[2, 2]]
"""
STACK = """
import sys
from pathlib import Path
import httpx
from tests.support.stack import Stack
stack = Stack(Path(sys.argv[1]))
try:
    stack.start()
    httpx.post(stack.text + "/embed", json={"texts": ["hush"]}, timeout=120).raise_for_status()
    stack.stop()
finally:
    stack.kill()
"""
CONFIG = """backend: "{backend}"
default_model_filename: "model.onnx"
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
input [ {{ name: "X" data_type: TYPE_FP32 dims: [ -1, -1 ] }} ]
output [ {{ name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] }} ]
"""
Heard = tuple[list[str], list[str]]


@pytest.fixture
def double(graph: Callable[..., Any], tmp_path: Path) -> Path:
    """An ONNX file that doubles its input."""
    shape = (TensorProto.FLOAT, ["batch", "n"])
    file = tmp_path / "double.onnx"
    save(graph([("Add", ["X", "X"], ["Y"])], {"X": shape}, {"Y": shape}), str(file))
    return file


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Heard]:
    home = tmp_path / "home"
    home.mkdir()

    def one(code: str, *arguments: object) -> Heard:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return heard(home, tmp_path / "report", command, ROOT)

    return one


def test_the_ear_hears(run: Callable[..., Heard]) -> None:
    code = (
        "import pathlib, socket\n"
        "pathlib.Path.home().joinpath('id').touch()\n"
        "try: socket.getaddrinfo('reports.example.org', 443)\n"
        "except OSError: pass\n"
    )
    assert run(code) == (["reports.example.org"], ["id"])


@pytest.mark.parametrize("what", OURS)
def test_processes_of_ours_are_silent(run: Callable[..., Heard], double: Path, what: str) -> None:
    assert run(OURS[what], double) == ([], [])


def test_triton_and_its_models_are_silent(
    run: Callable[..., Heard], double: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "models"
    for backend in ("onnxruntime", "openvino"):
        version = repository / f"double_{backend}" / "1"
        version.mkdir(parents=True)
        (version / "model.onnx").write_bytes(double.read_bytes())
        (version.parent / "config.pbtxt").write_text(CONFIG.format(backend=backend))
    assert run(SERVER, repository, tmp_path / "triton.log") == ([], [])


def test_a_whole_stack_is_silent(run: Callable[..., Heard], tmp_path: Path) -> None:
    assert run(STACK, tmp_path / "state") == ([], [])
