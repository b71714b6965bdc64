"""A running Pentad with narrow lip-sync tenants on two devices of the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from tests.support.lipsync_gateway import LARGE
from tests.support.lipsync_protos import OldClient
from tests.support.lipsync_tenants import Plain, write_tenant
from tests.support.stack import ROOT, Stack

TENANTS = 4


@dataclass
class LipsyncStack:
    """The stack, its tenants' files and its gRPC address."""

    stack: Stack
    tenants: Path
    encoder: Path
    address: str

    def channel(self) -> grpc.aio.Channel:
        """A channel to the gRPC port."""
        return grpc.aio.insecure_channel(self.address, options=LARGE)

    def client(self, channel: grpc.aio.Channel, dialect: int = 1) -> OldClient:
        """A client with the stubs of a dialect."""
        return OldClient(channel, dialect)

    def plain(self, tenant: str) -> Plain:
        """A session of a tenant's own file."""
        return Plain(self.tenants / f"{tenant}.onnx")


def own_repository(folder: Path) -> Path:
    """Copy the lip-sync models, as they are committed, to a repository of their own."""
    repository = folder / "model_repository"
    ignored = shutil.ignore_patterns("__pycache__", "*.onnx", "*.json", "lipsync_*.json")
    for name in ("lipsync", "audio_encoder"):
        shutil.copytree(ROOT / "model_repository" / name, repository / name, ignore=ignored)
    return repository


@pytest.fixture(scope="package")
def lipsync_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LipsyncStack]:
    folder = tmp_path_factory.mktemp("lipsync")
    tenants = folder / "tenants"
    tenants.mkdir()
    for number in range(TENANTS):
        write_tenant(tenants, f"tenant_{number}", seed=number)
    from export.lipsync.audio_architecture import write_random_encoder

    encoder = folder / "encoder.onnx"
    write_random_encoder(encoder)
    variables = {
        "PENTAD_SERVICES": '["lipsync"]',
        "PENTAD_PATHS__REPOSITORY": str(own_repository(folder)),
        "PENTAD_LIPSYNC__WATCH_FOLDER": str(tenants),
        "PENTAD_LIPSYNC__AUDIO_ENCODER": str(encoder),
        "PENTAD_LIPSYNC__GPUS__COUNT": "2",
        "PENTAD_LIPSYNC__SERVER__KEEPALIVE_TIMEOUT_SECONDS": "30",  # this process may be stopped
    }
    stack = Stack(folder / "state", variables)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PENTAD_")}
    subprocess.run(
        [sys.executable, "-m", "export"],
        cwd=ROOT, env={**clean, **stack.environment}, check=True,
    )  # fmt: skip
    try:
        stack.start()
        yield LipsyncStack(stack, tenants, encoder, stack.lipsync)
        stack.stop()
    finally:
        stack.kill()
