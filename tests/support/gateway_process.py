"""All five services on one port of a process of their own, with a stand-in for Triton."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import mmap
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvicorn

from gateway.memory import keep_large_buffers, tame_garbage_collector
from gateway.sockets import bind
from tests.support.fake_triton import FakeTriton
from tests.support.gateway import running_gateway
from tests.support.lipsync_triton import LipsyncTriton
from tests.support.tryon_triton import TryonTriton
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["iot", "lipsync", "text", "tryon", "vision"]
HOLD_FILE, HOLD = "hold", struct.Struct("d")
BEAT = 0.002  # seconds between two turns of what watches the loop


@dataclass
class EveryTriton(TryonTriton, LipsyncTriton):
    """Has the models of all services."""

    async def infer(self, model: str, inputs: Any, outputs: Any, **options: Any) -> Any:
        if model == "audio_encoder" or {"COMMAND", "TENANT"} & inputs.keys():
            return await LipsyncTriton.infer(self, model, inputs, outputs, **options)
        return await FakeTriton.infer(self, model, inputs, outputs, **options)


@dataclass
class Cost:
    """What one request took.

    Attributes:
        status: of the answer.
        answer: its body.
        peak: bytes that the process has held at most.
        cpu: seconds.
        stall: seconds that another client has waited for `/healthz` at most.
        hold: seconds of CPU time that the process has taken at most while its loop did nothing
            else: what a stall is on a machine that nobody else uses.
    """

    status: int
    answer: bytes
    peak: int
    cpu: float
    stall: float
    hold: float


@dataclass
class GatewayProcess:
    """A running one.

    Attributes:
        rested: bytes that it held before it was asked for anything.
    """

    port: int
    pid: int
    folder: Path
    rested: int = 0

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body of an answer that may come before all was sent."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            client.putrequest(method, path)
            given = {"Content-Length": str(len(body)), **(headers or {})}
            for name, value in given.items():
                client.putheader(name, value)
            client.endheaders()
            with contextlib.suppress(ConnectionError):
                client.send(body)
            reply = client.getresponse()
            return reply.status, reply.read()
        finally:
            client.close()

    def cost(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Cost:
        """Send a request and measure it, while another client asks for `/healthz`."""
        process = psutil.Process(self.pid)
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self._holds(0.0)
        began = sum(process.cpu_times()[:2])
        done = threading.Event()
        stalls: list[float] = [0.0]

        def watch() -> None:
            while not done.wait(0.005):
                begin = time.perf_counter()
                self.ask("GET", "/healthz")
                stalls.append(time.perf_counter() - begin)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            status, answer = self.ask(method, path, body, headers)
        finally:
            done.set()
            watcher.join()
        cpu = sum(process.cpu_times()[:2]) - began
        return Cost(status, answer, self._status("VmHWM:"), cpu, max(stalls), self._holds())

    def _holds(self, value: float | None = None) -> float:
        """Return the longest hold since it was last set to ``value``."""
        with (self.folder / HOLD_FILE).open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
            if value is not None:
                HOLD.pack_into(shared, 0, value)
            return float(*HOLD.unpack_from(shared, 0))

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let no file of the process grow beyond a megabyte, until the block ends."""
        process = psutil.Process(self.pid)
        before = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (2**20, before[1]))
        try:
            yield
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, before)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")


@contextlib.contextmanager
def gateway_process(folder: Path) -> Iterator[GatewayProcess]:
    """Run one until the block ends; ``folder`` is for its state."""
    sock = bind("127.0.0.1", 0, 128)
    command = [sys.executable, "-m", "tests.support.gateway_process", str(folder)]
    child = subprocess.Popen([*command, str(sock.fileno())], cwd=ROOT, pass_fds=[sock.fileno()])
    port = sock.getsockname()[1]
    sock.close()
    running = GatewayProcess(port, child.pid, folder)
    try:
        end = time.monotonic() + PATIENCE
        while running.ask("GET", "/readyz")[0] != 200:
            assert child.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        running.rested = running._status("VmRSS:")
        yield running
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)


async def _watch_loop(file: Path) -> None:
    """Keep the most CPU time of the process between two turns of this task, in ``file``.

    CPU time and not the clock's, so that others on the machine do not count; that of the process
    and not the loop's, so that a thread that keeps the interpreter's lock does.
    """
    file.write_bytes(bytes(HOLD.size))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as shared:
        last = time.process_time()
        while True:
            await asyncio.sleep(BEAT)
            now = time.process_time()
            HOLD.pack_into(shared, 0, max(now - last, *HOLD.unpack_from(shared, 0)))
            last = now


async def _serve(folder: Path, descriptor: int) -> None:
    keep_large_buffers()
    watch = asyncio.create_task(_watch_loop(folder / HOLD_FILE))
    file = folder / "tenant-00.onnx"
    file.write_text("weights")
    lipsync: dict[str, Any] = {"models": {file.stem: {"model_path": str(file)}}}
    lipsync["transport"] = "grpc"
    async with running_gateway(
        folder, EveryTriton(), services=SERVICES, lipsync=lipsync
    ) as running:
        tame_garbage_collector()  # as the gateway does: no full collection walks its modules
        config = uvicorn.Config(
            running.listeners.main, http="httptools", lifespan="off", log_level="warning",
            access_log=False,
        )  # fmt: skip
        await uvicorn.Server(config).serve([socket.socket(fileno=descriptor)])
    watch.cancel()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
