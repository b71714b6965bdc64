"""The gRPC server of the lip-sync service in this process, over a stand-in for Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from gateway.services.lipsync.grpc.server import GrpcServer
from launcher.server import free_ports
from tests.support.gateway import Running, running_gateway
from tests.support.lipsync_protos import OldClient
from tests.support.lipsync_triton import LipsyncTriton

LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass
class Served:
    """A gateway with its gRPC server, and a channel to it."""

    gateway: Running
    server: GrpcServer
    triton: LipsyncTriton
    address: str
    channel: grpc.aio.Channel

    def client(self, dialect: int) -> OldClient:
        """A client with the stubs of a dialect."""
        return OldClient(self.channel, dialect)


@asynccontextmanager
async def serving(
    folder: Path,
    triton: LipsyncTriton | None = None,
    *,
    tenants: tuple[str, ...] = ("tenant_1", "tenant_2"),
    connections: int = 100,
    head_seconds: float = 10,
    server: dict[str, Any] | None = None,
    lipsync: dict[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[Served]:
    """Run it until the block ends."""
    files = folder / "tenants"
    files.mkdir(exist_ok=True)
    for tenant in tenants:
        (files / f"{tenant}.onnx").write_text(f"weights of {tenant}")
    (port,) = free_ports(1)
    settings = {
        "models_root": str(files),
        "models": {tenant: {"model_path": f"{tenant}.onnx"} for tenant in tenants},
        "server": {"port": port, **(server or {})},
        **(lipsync or {}),
    }
    fake = triton or LipsyncTriton()
    held = {"head_seconds": head_seconds, "max_per_port": connections}
    async with running_gateway(
        folder,
        fake,
        services=["lipsync"],
        lipsync=settings,
        **{"server": {"connections": held}, **sections},
    ) as running:
        (one,) = (part for part in running.listeners.background if isinstance(part, GrpcServer))
        address = f"127.0.0.1:{one.port}"
        async with grpc.aio.insecure_channel(address, options=LARGE) as channel:
            try:
                yield Served(running, one, fake, address, channel)
            finally:
                await one.drain(0)


def frames(count: int, channels: int = 6, seed: int = 0) -> np.ndarray:
    """Random frames from 0 to 1, float32 [count, channels, 320, 320]."""
    chance = np.random.default_rng(seed)
    return chance.random((count, channels, 320, 320), dtype=np.float32)


def audio(blocks: int = 1, value: float = 0.25) -> np.ndarray:
    """Audio features, float32 [blocks, 32, 16, 16], with another first value in every block."""
    found = np.zeros((blocks, 32, 16, 16), np.float32)
    found[:, 0, 0, 0] = value + np.arange(blocks)
    return found
