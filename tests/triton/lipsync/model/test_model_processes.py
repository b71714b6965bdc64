"""Whether a model's process is there, as the gateway's monitor sees it on a real tritonserver."""

from __future__ import annotations

from pathlib import Path

from gateway.health.processes import ModelProcesses
from tests.support.lipsync_model import serving
from tests.support.waiting import wait_for


def test_a_killed_process_is_missing(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as model:
        processes = ModelProcesses(model.server.grpc_url)
        assert processes.missing([model.model]) == []
        assert processes.missing(["another", model.model]) == ["another"]
        model.stub().kill()
        # The last stub of this server: without any, nothing can be told.
        wait_for(lambda: processes._alive() == set())


def test_nothing_is_told_of_another_machine_or_server() -> None:
    assert ModelProcesses("gpu-box:8001").missing(["lipsync"]) == []
    assert ModelProcesses("127.0.0.1:1").missing(["lipsync"]) == []
