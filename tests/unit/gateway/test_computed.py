"""What the embedded backends report reaches `engine` and `device`: truth over configuration."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.health.engine import Computed, Reports, as_computed, engine_and_device, network_fact
from gateway.health.loading import ModelLoader
from gateway.health.state import ModelState
from gateway.telemetry.metrics import Metrics
from gateway.triton.placing import was_changed, with_one_process
from gateway.triton.tensorrt_plans.choice import PlanChooser
from launcher.backends.pentad_backend import placement
from launcher.backends.pentad_backend.placement import Computed as Told
from launcher.backends.pentad_backend.placement import Report
from tests.support.gateway import running_gateway
from tests.support.plan_models import MODEL, install_plan, write_model
from tests.support.waiting import until, wait_for

GPU: dict[str, Any] = {
    "backend": "onnxruntime",
    "instance_group": [{"kind": "KIND_GPU", "gpus": [0], "count": 2}],
    "optimization": {
        "graph": {"level": 1},
        "execution_accelerators": {
            "gpu_execution_accelerator": [
                {"name": "tensorrt", "parameters": {"precision_mode": "FP16"}},
                {"name": "cuda", "parameters": {"use_tf32": "0"}},
            ]
        },
    },
}
NO_CUDA = "libcublasLt.so.13 is missing"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(placement.FOLDER, str(tmp_path / "engines"))
    return tmp_path / "engines"


def test_a_report_is_read_while_its_process_lives(folder: Path) -> None:
    reports = Reports(folder)
    assert reports.of("face_detector") is None
    report = Report("face_detector", "onnxruntime", Told("cpu", "cpu", NO_CUDA))
    assert reports.of("face_detector") == Computed("onnxruntime", "cpu", "cpu", NO_CUDA)
    assert reports.of("face") is None
    assert reports.of("face_detector_other") is None
    assert folder.stat().st_mode & 0o777 == 0o700
    for _ in range(2):
        report.remove()
    assert reports.of("face_detector") is None


def test_a_report_that_cannot_be_written_refuses_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(placement.FOLDER, str(tmp_path / "file" / "engines"))
    report = Report("m", "onnxruntime", Told())
    report.remove()
    assert "cannot be written" in caplog.text


def test_a_dead_process_reports_nothing(folder: Path) -> None:
    folder.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    zombie = subprocess.Popen(["true"])
    wait_for(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    content = json.dumps({"backend": "b", "provider": "cpu", "device": "cpu", "reason": "x"})
    (folder / f"m.{ended.pid}.json").write_text(content)
    (folder / f"m.{zombie.pid}.json").write_text(content)
    (folder / "m.nobody.json").write_text(content)
    (folder / f"m.{os.getpid()}.json").write_text("half")
    assert Reports(folder).of("m") is None
    zombie.wait()


def test_of_two_processes_the_one_that_lacks_something_speaks(folder: Path) -> None:
    folder.mkdir()
    other = subprocess.Popen(["sleep", "60"])
    try:
        for number, (pid, backend, reason) in enumerate(
            [(os.getpid(), "onnxruntime", ""), (other.pid, "onnxruntime", "CUDA: out of memory")]
        ):
            file = folder / f"m.{pid}.json"
            file.write_text(
                json.dumps(
                    {"backend": backend, "provider": "cuda", "device": "cuda:0", "reason": reason}
                )
            )
            os.utime(file, ns=(number, number))
        found = Reports(folder).of("m")
        assert found is not None
        assert found.reason == "CUDA: out of memory"
        # A plan was loaded over it: the old backend's processes say nothing about the new one.
        Report("m", "tensorrt", Told("tensorrt", "cuda:0"))
        newest = Reports(folder).of("m")
        assert newest is not None
        assert (newest.backend, newest.reason) == ("tensorrt", "")
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    ("report", "engine", "device"),
    [
        (None, "tensorrt fp16", "cuda"),
        (Computed("onnxruntime", "tensorrt", "cuda:0", ""), "tensorrt fp16", "cuda"),
        (
            Computed("onnxruntime", "cuda", "cuda:0", "libnvinfer.so.10 is missing"),
            "onnxruntime fp32 (CUDA: libnvinfer.so.10 is missing)",
            "cuda",
        ),
        (
            Computed("onnxruntime", "cpu", "cpu", NO_CUDA),
            f"onnxruntime fp32 (CPU: {NO_CUDA})",
            "cpu",
        ),
        (Computed("onnxruntime", "cpu", "cpu", ""), "onnxruntime fp32", "cpu"),
    ],
)
def test_the_engine_is_what_computes(report: Computed | None, engine: str, device: str) -> None:
    before = json.dumps(GPU)
    assert engine_and_device(GPU, report) == (engine, device)
    assert json.dumps(GPU) == before


def test_callers_are_not_told_of_a_gpu_that_does_not_compute() -> None:
    """They would send batches of a size that only a GPU is fast with."""
    assert network_fact(GPU, 0) is not None
    real = as_computed(GPU, Computed("onnxruntime", "cpu", "cpu", NO_CUDA))
    assert network_fact(real, 0) is None


async def test_readyz_says_why_the_cpu_computes(tmp_path: Path, folder: Path) -> None:
    reports = tmp_path / "triton" / "engines"
    reports.mkdir(parents=True)
    content = {"backend": "onnxruntime", "provider": "cpu", "device": "cpu", "reason": NO_CUDA}
    (reports / f"sentence_encoder.{os.getpid()}.json").write_text(json.dumps(content))
    async with running_gateway(tmp_path, services=["text"]) as gateway:
        await until(lambda: gateway.context.monitor.report()["status"] == "ready")
        models = gateway.context.monitor.report()["services"]["text"]["models"]
        engines = {model["triton_model"]: model["engine"] for model in models}
        assert engines["text_embedding"] == f"onnxruntime fp32 (CPU: {NO_CUDA})"
        assert engines["bertscore"] == "onnxruntime fp32"


async def test_a_plan_that_is_wanted_and_missing_is_said(tmp_path: Path) -> None:
    version = write_model(tmp_path)
    chooser = PlanChooser(tmp_path)
    loader = ModelLoader(None, Metrics(), {}, chooser)  # type: ignore[arg-type]
    assert loader.lacks_plan(MODEL) == ""
    chooser.choose(MODEL)
    assert loader.lacks_plan(MODEL).startswith("no plan yet")
    install_plan(version)
    choice = chooser.choose(MODEL)
    assert choice is not None
    assert loader.lacks_plan(MODEL) == ""
    chooser.reject(choice)
    chooser.choose(MODEL)
    assert loader.lacks_plan(MODEL) == "Triton could not load the plan"
    (tmp_path / MODEL / "configs" / "tensorrt.pbtxt").write_text("not a config {")
    chooser.choose(MODEL)
    assert "/" not in loader.lacks_plan(MODEL)
    assert ModelLoader(None, Metrics(), {}).lacks_plan(MODEL) == ""  # type: ignore[arg-type]


class EmbeddedTriton:
    """Loads what it is given; a network's process reports a provider."""

    def __init__(self, folder: Path, provider: str) -> None:
        self.folder, self.provider = folder, provider
        self.config_now: dict[str, Any] = {
            **GPU, "instance_group": [{"kind": "KIND_GPU", "gpus": [0, 1], "count": 2}]
        }  # fmt: skip
        self.loads = 0

    async def load(self, model: str, config: dict[str, Any] | None = None) -> None:
        self.loads += 1
        self.config_now = config or self.config_now
        report = Told(self.provider, "cpu" if self.provider == "cpu" else "cuda:0", "")
        Report(model, "onnxruntime", report)

    async def config(self, model: str) -> dict[str, Any]:
        return self.config_now

    async def ready_models(self) -> set[str]:
        return set()

    async def live(self) -> bool:
        return True


@pytest.mark.parametrize(("provider", "count"), [("cuda", 1), ("tensorrt", 1), ("cpu", 2)])
async def test_an_embedded_network_has_one_process_on_a_gpu(
    tmp_path: Path, folder: Path, provider: str, count: int
) -> None:
    """Two contexts of one card take turns; on the CPU two processes are two cores."""
    triton = EmbeddedTriton(folder, provider)
    reports = Reports(folder)
    loader = ModelLoader(triton, Metrics(), {}, reports=reports)  # type: ignore[arg-type]
    model = ModelState("add", "tiny", ())
    await loader.ensure(model, set())
    (group,) = triton.config_now["instance_group"]
    assert group == {"kind": "KIND_GPU", "gpus": [0, 1], "count": count}
    assert triton.loads == (2 if count == 1 else 1)


def test_one_process_on_each_gpu_and_what_is_on_the_cpu_stays() -> None:
    groups = [
        {"kind": "KIND_GPU", "gpus": [0, 1], "count": 3},
        {"kind": "KIND_CPU", "count": 2},
    ]
    found = with_one_process({"backend": "onnxruntime", "instance_group": groups})
    assert found is not None
    assert [group["count"] for group in found["instance_group"]] == [1, 2]
    assert was_changed(found)
    assert with_one_process(found) is None
    assert groups[0]["count"] == 3
