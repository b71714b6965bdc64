"""Pentad as `make run` starts it, with lip-sync alone, and clients of its gRPC port."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

from gateway.services.lipsync.grpc import inference_pb2 as pb
from gateway.settings.socket_file import socket_address
from load_tests.lipsync.pool_client import MOUTH_VALUES
from load_tests.servers import ROOT, START_SECONDS, ServerError, free_port, stop

INFER = "/inference.InferenceService/InferBatch"
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def send_cheaply() -> None:
    """Let this process reuse the memory of its messages, however large.

    glibc maps, zeroes and unmaps every buffer above 32 MiB anew: a float32 batch of 25 cost its
    sender more CPU so than gRPC does, on the cores that are measured.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(-4, 0)  # M_MMAP_MAX
    libc.mallopt(-1, 2**29)  # M_TRIM_THRESHOLD


@dataclass(frozen=True)
class Gateway:
    """A running Pentad.

    Attributes:
        main: URL of the main port.
        address: of the gRPC port.
        url: of Triton's gRPC socket; what a client of the model alone needs.
        process: the supervisor.
    """

    main: str
    address: str
    url: str
    process: psutil.Process

    def memory(self) -> dict[str, int]:
        """Proportional set size in bytes of the gateway and of the models' processes."""
        sizes = {"gateway": 0, "model": 0}
        for child in self.process.children(recursive=True):
            line = " ".join(child.cmdline())
            name = "model" if "/lipsync/1/model.py" in line else "gateway"
            if name == "model" or "-m gateway" in line:
                sizes[name] += child.memory_full_info().pss
        return sizes

    def tenants(self) -> dict[str, Any]:
        """Return the tenants' REST page, counts included."""
        with urllib.request.urlopen(f"{self.main}/lipsync/tenants?limit=1") as reply:
            return dict(json.load(reply))


class Client:
    """One client that sends the same frames again and again, serialised once.

    Args:
        address: of the gRPC port.
        frames: FP32 [n, 6, 320, 320] as old clients send, or UINT8 [n, 3, 320, 320], which is
            answered in UINT8.
        audio: FP32 [1, 32, 16, 16].

    Attributes:
        count: frames of a call.
        least: bytes of an answer that holds its mouths.
    """

    def __init__(self, address: str, frames: np.ndarray, audio: np.ndarray) -> None:
        self.count = len(frames)
        self._channel = grpc.insecure_channel(address, options=UNLIMITED)
        self._call = self._channel.unary_unary(INFER)  # bytes as they are
        compact = frames.dtype == np.uint8
        kind = pb.UINT8 if compact else pb.FP32
        request = pb.InferBatchRequest(
            visual_frames=frames.tobytes(),
            audio_features=audio.tobytes(),
            batch_size=self.count,
            frame_format=kind,
            output_format=kind,
            input_channels=frames.shape[1] if compact else 0,
            output_block=compact,
        )
        self.least = self.count * MOUTH_VALUES * frames.itemsize
        self._rest = request.SerializeToString()
        self._made = ("", b"")  # tenant and message of the last call

    def ask(self, tenant: str) -> float:
        """One call; returns its milliseconds.

        Raises:
            ServerError: the answer says that it failed.
        """
        if self._made[0] != tenant:
            head = pb.InferBatchRequest(model_id=tenant).SerializeToString()
            self._made = (tenant, head + self._rest)
        request = self._made[1]
        begin = time.perf_counter()
        answer = self._call(request)
        spent = (time.perf_counter() - begin) * 1e3
        if len(answer) < self.least:
            raise ServerError(pb.InferBatchResponse.FromString(answer).error)
        return spent

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


@contextlib.contextmanager
def serving(folder: Path, tenants: Path, **settings: str) -> Iterator[Gateway]:
    """Run Pentad on free ports with the tenants of a folder.

    Args:
        folder: for its state and log.
        tenants: watched folder.
        **settings: further variables of the section, e.g. ``CAPACITY__MAX_MODELS="100"``.

    Raises:
        ServerError: it ended or was not ready in time.
    """
    ports = {name: free_port() for name in ("main", "lipsync", "metrics")}
    folder.mkdir(parents=True, exist_ok=True)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PENTAD_")},
        "PENTAD_SERVICES": '["lipsync"]',
        "PENTAD_SERVER__PORT": str(ports["main"]),
        "PENTAD_EMBEDDED__METRICS_PORT": str(ports["metrics"]),
        "PENTAD_TRITON__METRICS_URL": f"http://127.0.0.1:{ports['metrics']}/metrics",
        "PENTAD_TELEMETRY__ACCESS_LOG": "false",
        "PENTAD_PATHS__STATE": str(folder / "state"),
        "PENTAD_LIPSYNC__SERVER__PORT": str(ports["lipsync"]),
        "PENTAD_LIPSYNC__WATCH_FOLDER": str(tenants),
        **{f"PENTAD_LIPSYNC__{name}": value for name, value in settings.items()},
    }
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher", "run"],
            cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    main = f"http://127.0.0.1:{ports['main']}"
    try:
        _until_ready(main, process, log)
        yield Gateway(
            main,
            f"127.0.0.1:{ports['lipsync']}",
            socket_address(folder / "state"),
            psutil.Process(process.pid),
        )
    finally:
        stop(process)


def _until_ready(main: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(main + "/readyz", timeout=5).close()
            return
        time.sleep(0.2)
    raise ServerError(f"Pentad is not ready; see {log}:\n{log.read_text()[-2000:]}")
