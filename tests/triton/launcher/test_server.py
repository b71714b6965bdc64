"""One server: its restricted API, the round trip, and what it leaves behind."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tritonclient import grpc

from gateway.settings.triton import TritonSettings
from gateway.telemetry.gpu import SourceLostError
from gateway.telemetry.gpu.triton import TritonSource
from gateway.triton import TritonClient
from gateway.triton.shared_memory import Regions
from gateway.triton.versions import untested
from launcher import leftovers, selftest
from launcher.errors import LauncherError
from launcher.selftest import MODEL, REPOSITORY, check_round_trip, check_round_trip_once
from launcher.server import TritonServer
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]


def test_round_trip(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with TritonServer.on_free_ports(REPOSITORY, log=log) as server:
        check_round_trip(server)
        client = grpc.InferenceServerClient(server.grpc_url)
        client.load_model(MODEL)
        prefix = server.shm_prefix
        assert leftovers.regions(prefix)
        # The stub of the round trip before takes a moment to leave.
        wait_for(lambda: len(leftovers.processes(prefix)) == 2, 20)
    assert not leftovers.regions(prefix)
    assert not leftovers.processes(prefix)


def test_a_round_trip_that_was_right_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    with TritonServer.on_free_ports(REPOSITORY, state=state, log=log) as server:

        def loads() -> int:
            return log.read_text(errors="replace").count(f"successfully loaded '{MODEL}'")

        check_round_trip_once(server, state)
        assert loads() == 1
        check_round_trip_once(server, state)
        assert loads() == 1
        (state / "triton" / selftest.PROOF).write_text("{", encoding="utf-8")
        check_round_trip_once(server, state)
        assert loads() == 2
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.99")
        check_round_trip_once(server, state)
        assert loads() == 3


def test_folders_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    folder = tmp_path / f"a ümlaut, 'a' \"quote\"; $(touch {tmp_path.name}) `x`\\ & 日本\n"
    repository = folder / "models"
    shutil.copytree(REPOSITORY, repository)
    log = tmp_path / "log"
    with TritonServer.on_free_ports(repository, state=folder / "state", log=log) as server:
        check_round_trip(server)
        assert len(leftovers.processes(server.shm_prefix)) >= 1
    assert not leftovers.processes(server.shm_prefix)


def test_killed_server_is_cleaned_up_and_starts_again(tmp_path: Path) -> None:
    with TritonServer.on_free_ports(REPOSITORY, log=tmp_path / "log") as server:
        client = grpc.InferenceServerClient(server.grpc_url)
        client.load_model(MODEL)
        server.process.kill()
        wait_for(lambda: not server.running)
        server.start()
        server.wait_live()
        check_round_trip(server)
        prefix = server.shm_prefix
    assert not leftovers.regions(prefix)
    assert not leftovers.processes(prefix)


def test_a_dead_stub_is_replaced_by_unload_and_load(tmp_path: Path) -> None:
    with TritonServer.on_free_ports(REPOSITORY, log=tmp_path / "log") as server:
        client = grpc.InferenceServerClient(server.grpc_url)
        client.load_model(MODEL)
        for process in leftovers.processes(server.shm_prefix):
            if process.pid != server.process.pid:
                process.kill()
        client.unload_model(MODEL)
        wait_for(lambda: not client.is_model_ready(MODEL))
        check_round_trip(server)


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    with TritonServer.on_free_ports(REPOSITORY, log=tmp_path / "log") as server:
        second = TritonServer(server.options, state=tmp_path, output=subprocess.DEVNULL)
        with pytest.raises(LauncherError, match="another Triton answers"):
            second.start()
        second.stop()
        check_round_trip(server)


def test_a_taken_port_ends_the_start(tmp_path: Path) -> None:
    with TritonServer.on_free_ports(REPOSITORY, log=tmp_path / "log") as server:
        own = replace(server.options, socket=tmp_path / "own" / "triton:8001")
        second = TritonServer(own, state=tmp_path, output=subprocess.DEVNULL)
        second.start()
        try:
            wait_for(lambda: not second.running)
            assert second.process.returncode != 0
        finally:
            second.stop()


def test_a_killed_launcher_takes_its_server_along(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from launcher.server import TritonServer\n"
        "from launcher.selftest import REPOSITORY, check_round_trip\n"
        f"log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        f"with TritonServer.on_free_ports(REPOSITORY, log=log, load_models=({MODEL!r},)) as s:\n"
        "    print(s.process.pid, s.shm_prefix, flush=True)\n"
        "    time.sleep(600)\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert launcher.stdout
        pid, prefix = launcher.stdout.readline().split()
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
        wait_for(lambda: not psutil.pid_exists(int(pid)))
        wait_for(lambda: not leftovers.processes(prefix))
        leftovers.remove_stale()
        assert not leftovers.regions(prefix)
    finally:
        launcher.kill()


async def test_this_server_needs_no_option_to_let_clients_use_shared_memory(
    tmp_path: Path,
) -> None:
    """2.51 would end at `--allow-client-shm`, which 26.04 and later need."""
    log = tmp_path / "log"
    with TritonServer.on_free_ports(REPOSITORY, log=log, client_memory=True) as server:
        triton = TritonClient(TritonSettings(url=server.grpc_url, start=False))
        assert untested(await triton.server_version()) is None
        regions = Regions(triton, server.grpc_url, "auto", 2**20)
        await regions.look()
        assert regions.warning() is None
        async with regions.lease(2**20) as lease:
            assert lease
        await regions.close()
        await triton.close()
        with pytest.raises(SourceLostError):  # without a GPU it tells of none
            TritonSource([server.metrics_url]).read()
