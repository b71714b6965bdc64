"""A tritonserver with a scripted try-on model; gateways come and go before it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.server import TritonServer
from tests.support.callback_receiver import Receiver, always
from tests.support.tryon_processes import GatewayProcess

MODEL = Path(__file__).parent / "scripted_tryon"


@dataclass
class ScriptedTriton:
    """The server and the log of its runs."""

    server: TritonServer
    runs: Path

    def lines(self, job_id: str = "") -> list[tuple[float, str, str]]:
        """Time, what, job of every line, or of one job's lines."""
        found = [line.split(" ") for line in self.runs.read_text().splitlines()]
        return [(float(one[0]), one[1], one[2]) for one in found if job_id in ("", one[2])]

    def open(self, gate: str) -> None:
        """Let a run with `gate=` in its prompt go on behind its first step."""
        (self.runs.parent / gate).touch()

    def count(self, job_id: str, what: str) -> int:
        """How often a job's run began, ended or was cancelled."""
        return sum(line[1] == what for line in self.lines(job_id))


@pytest.fixture(scope="package")
def scripted_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedTriton]:
    folder = tmp_path_factory.mktemp("scripted")
    repository = folder / "repository"
    shutil.copytree(MODEL, repository / "tryon")
    runs = folder / "runs.log"
    runs.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRYON_RUNS", str(runs))  # the model's process inherits it
        log = folder / "triton.log"
        with TritonServer.on_free_ports(repository, log=log) as server:
            yield ScriptedTriton(server, runs)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


Make = Callable[..., GatewayProcess]


def make_gateway(
    folder: Path, triton: ScriptedTriton, receiver: Receiver, **variables: str
) -> GatewayProcess:
    """A gateway, not yet started, that sends to ``receiver``."""
    settings = {
        "PENTAD_TRYON__ASSET_SERVICE__CALLBACK_URL": receiver.result_url,
        "PENTAD_TRYON__ASSET_SERVICE__INTERNAL_AUTH_TOKEN": "asset-token",
        "PENTAD_TRYON__LOAD_BALANCER__URL": receiver.base_url,
        "PENTAD_TRYON__JOBS__QUEUE_SIZE": "300",
        **variables,
    }
    return GatewayProcess(folder, triton.server.grpc_url, settings)


@pytest.fixture
def gateways(scripted_triton: ScriptedTriton, receiver: Receiver, tmp_path: Path) -> Iterator[Make]:
    """Make gateways for one test; keyword arguments are further variables."""
    made: list[GatewayProcess] = []

    def make(name: str = "state", **variables: str) -> GatewayProcess:
        made.append(make_gateway(tmp_path / name, scripted_triton, receiver, **variables))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@dataclass
class Standing:
    """A gateway that all tests of a module share, and its receiver."""

    gateway: GatewayProcess
    receiver: Receiver


@pytest.fixture(scope="package")
def _standing(
    scripted_triton: ScriptedTriton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    receiver = Receiver()
    impatient = {f"PENTAD_TRYON__{one}__TIMEOUT": "4" for one in ("ASSET_SERVICE", "LOAD_BALANCER")}
    folder = tmp_path_factory.mktemp("standing")
    gateway = make_gateway(folder, scripted_triton, receiver, **impatient)
    gateway.start()
    yield Standing(gateway, receiver)
    gateway.stop()
    receiver.stop()


@pytest.fixture
def standing(_standing: Standing) -> Standing:
    """The gateway that is not killed; its receiver is friendly and has forgotten everything."""
    _standing.receiver.behave = always(200)
    _standing.gateway.wait(
        lambda: not any(
            one["state"] == "pending"
            for job in _standing.gateway.get("/jobs")["jobs"] for one in job["callbacks"]
        )
    )  # fmt: skip
    _standing.receiver.received.clear()
    return _standing
