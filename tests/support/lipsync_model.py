"""The Triton model `lipsync` in a repository of its own, and a client of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tritonclient import grpc
from tritonclient.utils import np_to_triton_dtype

from export.folders import copy_code
from launcher.server import TritonServer
from tests.support.vlm_model import series
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[2]
MODEL = "lipsync"
CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def repository(folder: Path, devices: int = 1, **parameters: str) -> Path:
    """A model repository with `lipsync` for that many CPU devices, and other parameters."""
    source = ROOT / "model_repository" / MODEL
    config = (source / "config.pbtxt").read_text()
    for name, value in {"device": "cpu", **parameters}.items():
        pattern = rf'(key: "{name}" value: \{{ string_value: ")[^"]*'
        config, count = re.subn(pattern, lambda found, value=value: found[1] + value, config)
        assert count == 1, name
    for number in range(devices):
        name = MODEL if number == 0 else f"{MODEL}_{number}"
        copy_code(source / "1", folder / name / "1")
        own = config.replace('name: "lipsync"', f'name: "{name}"')
        own = own.replace('string_value: "cpu"', f'string_value: "cpu:{number}"')
        (folder / name / "config.pbtxt").write_text(own)
    return folder


@contextmanager
def serving(folder: Path, **parameters: str) -> Iterator[LipsyncModel]:
    """The model in a tritonserver of its own."""
    made = repository(folder / "repository", **parameters)
    log = folder / "triton.log"
    with TritonServer.on_free_ports(made, log=log, load_models=(MODEL,)) as server:
        model = LipsyncModel(server)
        try:
            yield model
        finally:
            model.close()


class LipsyncModel:
    """A client of the model in a running tritonserver; safe to use from several threads."""

    def __init__(self, server: TritonServer, model: str = MODEL) -> None:
        self.server = server
        self.model = model
        self.client = grpc.InferenceServerClient(server.grpc_url, channel_args=CHANNEL)

    def close(self) -> None:
        self.client.close()

    def command(self, op: str, tenant: str | None = None, **more: Any) -> dict[str, Any]:
        """Sends a command and returns its report."""
        given = {"op": op, **({"tenant": tenant} if tenant is not None else {}), **more}
        text = np.array([json.dumps(given).encode()], dtype=np.object_)
        answer = self.client.infer(self.model, [tensor("COMMAND", text)], client_timeout=120)
        return dict(json.loads(answer.as_numpy("REPORT")[0]))

    def load(self, tenant: str, path: Path, force: bool = False) -> dict[str, Any]:
        return self.command("load", tenant, path=str(path), force=force)

    def unload(self, tenant: str) -> bool:
        return bool(self.command("unload", tenant)["unloaded"])

    def stats(self) -> dict[str, Any]:
        return self.command("stats")

    def ask(
        self, tenant: str, frames: np.ndarray, sound: np.ndarray, kind: str = "FP32", **call: Any
    ) -> np.ndarray:
        """The mouths of one request."""
        return self.answer(tenant, frames, sound, kind, **call).as_numpy(f"MOUTH_{kind}")

    def answer(
        self, tenant: str, frames: np.ndarray, sound: np.ndarray, kind: str = "FP32", **call: Any
    ) -> grpc.InferResult:
        """The whole answer of one request."""
        call = {"client_timeout": 120, **call}
        return self.client.infer(
            self.model, inputs(tenant, frames, sound), outputs=outputs(kind), **call
        )

    def start(
        self, tenant: str, frames: np.ndarray, sound: np.ndarray, done: Callable[..., None]
    ) -> Any:
        """Sends a request; `done` gets its result and error. The call can be cancelled."""
        return self.client.async_infer(
            self.model, inputs(tenant, frames, sound), done, outputs=outputs("FP32")
        )

    def in_flight(self, tenant: str) -> int:
        """Requests of a tenant that the model has and has not answered."""
        return int(self.stats()["tenants"][tenant]["in_flight"])

    def wait_in_flight(self, tenant: str, requests: int) -> None:
        """Waits until the model has so many requests of a tenant."""
        wait_for(lambda: self.in_flight(tenant) == requests)

    def stub(self) -> psutil.Process:
        """The model's process."""
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        (found,) = [one for one in children if f"/{self.model}/1/model.py" in _line(one)]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Value of one series of the model's metrics; they come half a second late."""
        return series(self.server.metrics_url, f"pentad_lipsync_{name}", **labels)

    def wait_metric(self, expected: float, name: str, **labels: str) -> None:
        """Waits until a series has a value, and fails when it gets another one."""
        end = time.monotonic() + PATIENCE
        while (value := self.metric(name, **labels)) < expected and time.monotonic() < end:
            time.sleep(0.05)
        assert value == expected, f"{name}{labels} is {value}, not {expected}"


def inputs(tenant: str, frames: np.ndarray, sound: np.ndarray) -> list[grpc.InferInput]:
    """The inputs of a request for frames."""
    kind = {"float32": "FP32", "float16": "FP16", "uint8": "UINT8"}[frames.dtype.name]
    name = np.array([tenant.encode()], dtype=np.object_)
    return [tensor("TENANT", name), tensor(f"FRAMES_{kind}", frames), tensor("AUDIO", sound)]


def outputs(kind: str) -> list[grpc.InferRequestedOutput]:
    """The outputs of a request for frames."""
    return [grpc.InferRequestedOutput(name) for name in (f"MOUTH_{kind}", "TIMING")]


def tensor(name: str, array: np.ndarray) -> grpc.InferInput:
    """An input with its data."""
    kind = "BYTES" if array.dtype == np.object_ else np_to_triton_dtype(array.dtype)
    made = grpc.InferInput(name, list(array.shape), kind)
    return made.set_data_from_numpy(array)


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
