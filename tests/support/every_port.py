"""All services on all their ports, in a process of their own, with a stand-in for Triton."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from gateway.http.server.listener import Listener
from launcher.server import free_ports
from tests.support.gateway import running_gateway
from tests.support.gateway_process import ROOT, SERVICES, EveryTriton
from tests.support.waiting import PATIENCE

PORTS = ("main", "iot", "text", "tryon", "vision")
TENANT = "tenant-00"
KEY = "sesame-opens"


@contextlib.contextmanager
def every_port(folder: Path) -> Iterator[dict[str, str]]:
    """Run one until the block ends; yield the address of every port by :data:`PORTS`.

    Args:
        folder: for its state.
    """
    numbers = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [sys.executable, "-m", "tests.support.every_port", str(folder), json.dumps(numbers)]
    child = subprocess.Popen(command, cwd=ROOT)
    addresses = {name: f"http://127.0.0.1:{number}" for name, number in numbers.items()}
    try:
        end = time.monotonic() + PATIENCE
        while not _is_ready(addresses["main"]):
            assert child.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        yield addresses
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", headers={"X-API-Key": KEY}).status_code == 200
    except httpx.TransportError:
        return False


async def _serve(folder: Path, numbers: dict[str, int]) -> None:
    file = folder / f"{TENANT}.onnx"
    file.write_text("weights")
    lipsync = {
        "models": {TENANT: {"model_path": str(file)}},
        "transport": "grpc",
        "audio_encoder": str(folder / "encoder.onnx"),
    }
    values: dict[str, Any] = {
        "server": {"port": numbers["main"]},
        "tryon": {"server": {"port": numbers["tryon"]}, "jobs": {"poll_seconds": 0.05}},
        **{name: {"port": numbers[name]} for name in ("iot", "text", "vision")},
        "lipsync": lipsync,
        "security": {"keys": [{"name": "test", "key": KEY}]},
    }
    async with running_gateway(folder, EveryTriton(), services=SERVICES, **values) as running:
        apps = {numbers["main"]: running.listeners.main, **running.listeners.ports}
        server, metrics = running.context.settings.server, running.context.metrics
        listeners = []
        for port, app in apps.items():
            sock = socket.create_server(("127.0.0.1", port))
            listener = Listener(app, server, 100, metrics, port)
            listeners.append(listener)
            asyncio.get_running_loop().create_task(listener.serve([sock]))
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        for listener in listeners:
            listener.should_exit = True
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), json.loads(sys.argv[2])))
