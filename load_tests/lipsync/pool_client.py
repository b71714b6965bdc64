"""The model in a tritonserver of its own, asked through registered shared memory."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tritonclient import grpc
from tritonclient.utils import shared_memory

from launcher.server import TritonServer

MODEL = "lipsync"
MOUTH_VALUES = 3 * 320 * 320
CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Pool:
    """Control of the model, and figures of its process."""

    def __init__(self, server: TritonServer) -> None:
        self.url = server.grpc_url
        self._server = server
        self._client = grpc.InferenceServerClient(self.url, channel_args=CHANNEL)

    def load(self, file: Path) -> dict[str, Any]:
        """Make a tenant resident; its name is the file's."""
        return self._command({"op": "load", "tenant": file.stem, "path": str(file)})

    def unload(self, file: Path) -> None:
        """Frees a tenant."""
        self._command({"op": "unload", "tenant": file.stem})

    def process(self) -> psutil.Process:
        """Return the model's process."""
        children = psutil.Process(self._server.process.pid).children(recursive=True)
        (process,) = [
            child for child in children if f"/{MODEL}/1/model.py" in " ".join(child.cmdline())
        ]
        return process

    def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        text = np.array([json.dumps(command).encode()], dtype=np.object_)
        tensor = grpc.InferInput("COMMAND", [1], "BYTES").set_data_from_numpy(text)
        return dict(json.loads(self._client.infer(MODEL, [tensor]).as_numpy("REPORT")[0]))


class Caller:
    """One client: frames lie in shared memory, mouths of their dtype come back there."""

    def __init__(self, pool: Pool, frames: np.ndarray, audio: np.ndarray) -> None:
        self._client = grpc.InferenceServerClient(pool.url, channel_args=CHANNEL)
        self.count = len(frames)
        self._sizes = [frames.nbytes, len(frames) * MOUTH_VALUES * frames.itemsize]
        self._names = [f"pentad_bench_{uuid.uuid4().hex}" for _ in self._sizes]
        self._regions = []
        for name, size in zip(self._names, self._sizes, strict=True):
            self._regions.append(shared_memory.create_shared_memory_region(name, f"/{name}", size))
            self._client.register_system_shared_memory(name, f"/{name}", size)
        shared_memory.set_shared_memory_region(self._regions[0], [frames])
        kind = {"float32": "FP32", "uint8": "UINT8"}[frames.dtype.name]
        self._frames = grpc.InferInput(f"FRAMES_{kind}", list(frames.shape), kind)
        self._frames.set_shared_memory(self._names[0], self._sizes[0])
        sound = grpc.InferInput("AUDIO", list(audio.shape), "FP32")
        self._audio = sound.set_data_from_numpy(audio)
        self._mouths = grpc.InferRequestedOutput(f"MOUTH_{kind}")
        self._mouths.set_shared_memory(self._names[1], self._sizes[1])

    def ask(self, tenant: str) -> float:
        """One request; returns its milliseconds."""
        name = np.array([tenant.encode()], dtype=np.object_)
        tensor = grpc.InferInput("TENANT", [1], "BYTES").set_data_from_numpy(name)
        begin = time.perf_counter()
        self._client.infer(MODEL, [tensor, self._frames, self._audio], outputs=[self._mouths])
        return (time.perf_counter() - begin) * 1e3

    def mouths(self) -> np.ndarray:
        """Return what came back last, FP32 [n, 3, 320, 320]."""
        shape = [self.count, 3, 320, 320]
        return np.array(shared_memory.get_contents_as_numpy(self._regions[1], np.float32, shape))

    def close(self) -> None:
        """Give the shared memory back."""
        for name, region in zip(self._names, self._regions, strict=True):
            self._client.unregister_system_shared_memory(name)
            shared_memory.destroy_shared_memory_region(region)
        self._client.close()


@contextmanager
def serving(repository: Path, log: Path) -> Iterator[Pool]:
    """Return the model, alone in a tritonserver; `repository` may hold others."""
    with TritonServer.on_free_ports(repository, log=log, load_models=(MODEL,)) as server:
        yield Pool(server)
