"""From ONNX to a plan and on, in a real Triton that serves meanwhile.

A backend that adds a number stands in for the embedded one of TensorRT, which needs a GPU. The ONNX
graph adds 1.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.health.loading import ModelLoader
from gateway.health.state import ModelState
from gateway.settings.triton import TritonSettings
from gateway.telemetry.metrics import Metrics
from gateway.triton import TritonClient
from gateway.triton.tensorrt_plans.choice import PlanChooser
from gateway.triton.tensors import Tensor
from launcher import layout
from launcher.server import TritonServer
from tests.support.plan_models import MODEL, install_plan, write_model

BACKEND = Path(__file__).parent / "plan_backend" / "model.py"


class Bench:
    """A gateway's loader at a Triton."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.client = TritonClient(TritonSettings(url=url))
        self.chooser = PlanChooser(folder.parents[1])
        self.loader = ModelLoader(self.client, Metrics(), {}, self.chooser)
        self.model = ModelState("add", MODEL, ())
        self.answers: list[float] = []

    async def round(self) -> None:
        await self.loader.ensure(self.model, await self.client.ready_models())

    async def ask(self) -> float:
        zero = Tensor("FP32", (1, 1), np.zeros((1, 1), np.float32).tobytes())
        found = await self.client.infer(MODEL, {"x": zero}, ["y"], timeout=10)
        return float(found["y"][0, 0])

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        """Asks without a pause; a request that fails fails the test."""
        stop = asyncio.Event()

        async def asking() -> None:
            while not stop.is_set():
                self.answers.append(await self.ask())

        tasks = [asyncio.create_task(asking()) for _ in range(4)]
        await asyncio.sleep(0.2)
        try:
            yield
        finally:
            await asyncio.sleep(0.2)
            stop.set()
            await asyncio.gather(*tasks)


@asynccontextmanager
async def started(tmp_path: Path) -> AsyncIterator[Bench]:
    folder = write_model(tmp_path / "repository")
    with TritonServer.on_free_ports(
        tmp_path / "repository",
        state=tmp_path / "state",
        log=tmp_path / "triton.log",
        profile="tensorrt",  # what the container is started with: no plan, no model
    ) as server:
        found = Bench(folder, server.grpc_url)
        yield found
        await found.client.close()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(layout, "PYTHON_BASED", ("onnxruntime",))
    own = tmp_path / "state" / "triton"
    own.mkdir(mode=0o700, parents=True)  # Triton's socket lies in it
    backend = own / "backends" / "tensorrt"
    backend.mkdir(parents=True)
    shutil.copyfile(BACKEND, backend / "model.py")
    async with started(tmp_path) as found:
        yield found


async def test_no_request_is_lost_between_onnx_and_plans(bench: Bench) -> None:
    (bench.folder / "model.plan").write_bytes(b"7")  # no key file: never opened
    await bench.round()
    assert await bench.ask() == 1
    install_plan(bench.folder, b"7", onnx_sha256="0" * 64)  # another graph's
    await bench.round()
    async with bench.traffic():
        install_plan(bench.folder, b"2")
        await bench.round()
        assert await bench.ask() == 2
        install_plan(bench.folder, b"no number", precision="FP32")
        await bench.round()  # cannot be loaded: the plan before goes on
        await bench.round()  # its file is gone, so ONNX takes over
        assert await bench.ask() == 1
        install_plan(bench.folder, b"3", tensorrt="10.14.1.48")
        await bench.round()
        assert await bench.ask() == 3
    assert set(bench.answers) == {1.0, 2.0, 3.0}
    assert len(bench.answers) > 50


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is a driver")
async def test_the_embedded_backend_without_a_gpu_leaves_onnx_and_says_so(tmp_path: Path) -> None:
    async with started(tmp_path) as bench:
        install_plan(bench.folder, b"a plan")
        await bench.round()
        assert await bench.ask() == 1
        await bench.round()
        assert bench.loader.lacks_plan(MODEL) == "Triton could not load the plan"
        assert "TensorRT backend supports only GPU device" in (tmp_path / "triton.log").read_text()
