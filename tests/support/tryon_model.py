"""The Triton model `tryon` in a repository of its own, and a streaming client of it."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import psutil
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from export.folders import copy_code
from gateway import model_config
from launcher.server import TritonServer
from tests.support.vlm_model import series
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
MODEL = "tryon"
NETWORKS = ("pose_detection.tflite", "pose_landmark_full.tflite", "selfie_segmentation.tflite")
CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@cache
def networks() -> Path:
    """Folder with the body networks, exported unless they are up to date."""
    subprocess.run([sys.executable, "-m", "export", MODEL], cwd=ROOT, check=True)
    return ROOT / "model_repository" / MODEL / "1"


def parameters(**changed: str) -> dict[str, str]:
    """The parameters of config.pbtxt with some changed."""
    found = model_config.parameters(
        model_config.read_config(ROOT / "model_repository" / MODEL / "config.pbtxt")
    )
    assert changed.keys() <= found.keys()
    return {**found, **changed}


def repository(folder: Path, **changed: str) -> Path:
    """A model repository with `tryon` and other parameters."""
    source = ROOT / "model_repository" / MODEL
    copy_code(source / "1", folder / MODEL / "1")
    shutil.copy(source / "config.pbtxt", folder / MODEL)
    values = {"body_networks": str(networks()), "threads": "2", **changed}
    (folder / MODEL / "1" / "settings.json").write_text(json.dumps(values))
    return folder


@contextmanager
def serving(folder: Path, wait: bool = True, **changed: str) -> Iterator[TryonModel]:
    """The model in a tritonserver of its own."""
    made = repository(folder / "repository", **changed)
    log = folder / "triton.log"
    with TritonServer.on_free_ports(made, log=log, load_models=(MODEL,)) as server:
        model = TryonModel(server)
        try:
            if wait:
                model.wait_loaded()
            yield model
        finally:
            model.close()


@dataclass
class Answer:
    """Everything that one job streamed."""

    progress: list[dict[str, Any]] = field(default_factory=list)
    image: bytes = b""
    samples: list[bytes] = field(default_factory=list)
    comparison: bytes | None = None
    report: dict[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """A job's error.

    Attributes:
        status: gRPC's, when the call itself failed; None for an error that the stream told.
        words: Triton's message.
    """

    def __init__(self, status: grpc.StatusCode | None, words: str) -> None:
        super().__init__(f"{status.name} {words}" if status else words)
        self.status = status
        self.words = words


class TryonModel:
    """A client of the model in a running tritonserver; safe to use from several threads."""

    def __init__(self, server: TritonServer) -> None:
        self.server = server
        self._channel = grpc.insecure_channel(server.grpc_url, options=CHANNEL)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def unload(self) -> None:
        """Asks Triton to unload the model."""
        self.stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=MODEL))

    def reload(self) -> None:
        """Unloads and loads the model."""
        self.unload()
        self.stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=MODEL), timeout=180)

    def describe(self) -> dict[str, Any]:
        """What the model says about itself."""
        (reply,) = self._stream({"COMMAND": json.dumps({"op": "describe"}).encode()}, timeout=60)
        return dict(json.loads(reply["REPORT"]))

    def wait_loaded(self, seconds: float = 120) -> dict[str, Any]:
        """Waits until jobs are taken."""
        end = time.monotonic() + seconds
        while not (report := self.describe())["loaded"]:
            assert report["loading_error"] is None, report
            assert time.monotonic() < end
            time.sleep(0.05)
        return report

    def run(
        self,
        person: bytes,
        garment: bytes,
        told: Callable[[dict[str, Any], grpc.Call], None] = lambda progress, call: None,
        timeout: float = 120,
        deadline: float = 0,
        **options: Any,
    ) -> Answer:
        """One job.

        Args:
            person: File.
            garment: File.
            told: Called with each progress and the call, which it may cancel.
            timeout: Of the call, seconds.
            deadline: Of the job in the model, seconds; 0 is none.
            options: The job's.

        Raises:
            Refused: With Triton's words.
        """
        inputs = {"PERSON": person, "GARMENT": garment, "OPTIONS": json.dumps(options).encode()}
        answer = Answer()
        for reply in self._stream(inputs, timeout, deadline, answer.progress, told):
            if "IMAGE" in reply:
                assert not answer.image
                answer.image, answer.comparison = reply["IMAGE"], reply.get("COMPARISON")
                answer.report = json.loads(reply["REPORT"])
                answer.samples = _contents(reply.get("SAMPLES", b""))
        return answer

    def _stream(
        self,
        inputs: dict[str, bytes],
        timeout: float,
        deadline: float = 0,
        progress: list[dict[str, Any]] | None = None,
        told: Callable[[dict[str, Any], grpc.Call], None] = lambda progress, call: None,
    ) -> list[dict[str, bytes]]:
        request = pb.ModelInferRequest(model_name=MODEL)
        for name, content in inputs.items():
            request.inputs.add(name=name, datatype="BYTES", shape=[1])
            request.raw_input_contents.append(len(content).to_bytes(4, "little") + content)
        if deadline:
            request.parameters["timeout"].int64_param = int(deadline * 1e6)
        requests: queue.Queue[Any] = queue.Queue()
        requests.put(request)
        requests.put(None)
        call = self.stub.ModelStreamInfer(iter(requests.get, None), timeout=timeout)
        replies = []
        try:
            for reply in call:
                if reply.error_message:
                    raise Refused(None, reply.error_message)
                found = reply.infer_response
                names = [one.name for one in found.outputs]
                outputs = {
                    name: raw if name == "SAMPLES" else _content(raw)
                    for name, raw in zip(names, found.raw_output_contents, strict=True)
                }
                if "PROGRESS" in outputs:
                    said = json.loads(outputs["PROGRESS"])
                    if progress is not None:
                        progress.append(said)
                    told(said, call)
                elif outputs:
                    replies.append(outputs)
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details() or "") from None
        return replies

    def stub_process(self) -> psutil.Process:
        """The model's process."""
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        (found,) = [one for one in children if f"/{MODEL}/1/model.py" in _line(one)]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Value of one series of the model's metrics; they come half a second late."""
        return series(self.server.metrics_url, f"pentad_tryon_model_{name}", **labels)

    def wait_metric(self, expected: float, name: str, **labels: str) -> None:
        """Waits until a series has a value, and fails when it gets another one."""
        wait_for(lambda: self.metric(name, **labels) >= expected)
        assert self.metric(name, **labels) == expected


def _content(raw: bytes) -> bytes:
    (content,) = _contents(raw)
    return content


def _contents(raw: bytes) -> list[bytes]:
    """The elements of a BYTES tensor."""
    found = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        assert len(raw) >= end
        found.append(raw[4:end])
        raw = raw[end:]
    return found


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
