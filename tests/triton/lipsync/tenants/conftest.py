"""A real tritonserver with two lip-sync devices, and gateways of this process in front of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient
from launcher.server import TritonServer
from tests.support.gateway import Running, running_gateway, settings_for, until
from tests.support.lipsync_tenants import write_tenant
from tests.support.stack import ROOT

TENANTS = 24
Opener = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture(scope="package")
def tenant_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of narrow tenants, ``tenant_00`` and so on, each with weights of its own."""
    folder = tmp_path_factory.mktemp("tenants")
    for number in range(TENANTS):
        file = write_tenant(folder, f"tenant_{number:02}", seed=number)
        os.utime(file, (0, 0))  # a file of this moment might still grow, and waits two seconds
    return folder


@pytest.fixture(scope="package")
def lipsync_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    from export.lipsync.devices import write_devices

    folder = tmp_path_factory.mktemp("server")
    repository = folder / "repository"
    source = ROOT / "model_repository" / "lipsync"
    ignored = shutil.ignore_patterns("__pycache__", "*.json")
    shutil.copytree(source, repository / "lipsync", ignore=ignored)
    settings = settings_for(
        folder, paths={"repository": repository}, lipsync={"gpus": {"count": 2}}
    )
    write_devices(settings)
    log = folder / "triton.log"
    with TritonServer.on_free_ports(repository, log=log) as server:
        yield server


@pytest.fixture
def gateway(lipsync_server: TritonServer, tenant_files: Path, tmp_path: Path) -> Opener:
    """Opens a gateway of its own on the server; ``lipsync`` are settings of the section."""

    @asynccontextmanager
    async def opened(**lipsync: Any) -> AsyncIterator[Running]:
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        url = lipsync_server.grpc_url
        client = TritonClient(TritonSettings(url=url))
        section = {"gpus": {"count": 2}, "watch_folder": tenant_files, **lipsync}
        async with running_gateway(
            state, client, services=["lipsync"], lipsync=section, wait=False
        ) as running:  # type: ignore[arg-type]
            ready = lambda: running.context.monitor.report()["status"] == "ready"  # noqa: E731
            await until(ready, 120)
            yield running
        await client.close()

    return opened
