"""Tiny ONNX models and one tritonserver for all tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tritonclient import grpc

from launcher.server import TritonServer


class Models:
    """A model repository that is filled while its server runs."""

    def __init__(self, root: Path, server: TritonServer) -> None:
        self.root = root
        self.server = server
        self.client = grpc.InferenceServerClient(server.grpc_url)

    def add(self, name: str, config: str, model: Any = None, filename: str = "model.onnx") -> str:
        """Writes a model; `model` is an ONNX ModelProto."""
        version = self.root / name / "1"
        version.mkdir(parents=True)
        if model is not None:
            (version / filename).write_bytes(model.SerializeToString())
        if config:
            (self.root / name / "config.pbtxt").write_text(config)
        return name

    def load(self, name: str, config: str, model: Any = None, **options: str) -> dict[str, Any]:
        """Writes and loads a model; returns the configuration that Triton uses."""
        self.client.load_model(self.add(name, config, model, **options))
        answer: dict[str, Any] = self.client.get_model_config(name, as_json=True)
        return dict(answer["config"])

    def infer(self, name: str, outputs: list[str] | None = None, **inputs: Any) -> dict[str, Any]:
        """Runs one request; returns its outputs by name."""
        from tritonclient.utils import np_to_triton_dtype

        tensors = []
        for key, array in inputs.items():
            tensor = grpc.InferInput(key, array.shape, np_to_triton_dtype(array.dtype))
            tensors.append(tensor.set_data_from_numpy(array))
        wanted = [grpc.InferRequestedOutput(key) for key in outputs] if outputs else None
        result = self.client.infer(name, tensors, outputs=wanted)
        names = [output.name for output in result.get_response().outputs]
        return {key: result.as_numpy(key) for key in names}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    root = tmp_path_factory.mktemp("repository")
    log = tmp_path_factory.mktemp("log") / "triton.log"
    with TritonServer.on_free_ports(root, log=log) as server:
        yield Models(root, server)


@pytest.fixture(scope="package")
def graph() -> Callable[..., Any]:
    """Builds ONNX graphs: graph(nodes, inputs, outputs, initializers)."""
    from onnx import helper

    def build(
        nodes: list[tuple[str, list[str], list[str]]],
        inputs: dict[str, tuple[int, list[Any]]],
        outputs: dict[str, tuple[int, list[Any]]],
        initializers: tuple[Any, ...] = (),
    ) -> Any:
        made = helper.make_graph(
            [helper.make_node(*node) for node in nodes],
            "test",
            [helper.make_tensor_value_info(name, *info) for name, info in inputs.items()],
            [helper.make_tensor_value_info(name, *info) for name, info in outputs.items()],
            initializer=initializers,
        )
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    return build
