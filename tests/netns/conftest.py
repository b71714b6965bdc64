"""Two Tritons, PostgreSQL and a receiver in network namespaces of their own, gateways before them.

What clients saw of each fault is printed when all tests have run (`docs/operations/network.md`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from launcher.options import ServerOptions
from launcher.server import TritonServer
from tests.support.callback_receiver import Receiver
from tests.support.network import Network, remove_stale, required
from tests.support.postgres import binaries, postgres
from tests.support.text_models import REPOSITORY, ROOT
from tests.support.waiting import wait_for
from tests.triton.tryon.jobs.conftest import MODEL

TRITONS = ("triton-1", "triton-2")
GATEWAYS = ("gateway", "gateway-2")
GRPC, METRICS, MAIN, RECEIVER = 8001, 8002, 9000, 9009
KEY = "a-key-of-the-tests"
SCRIPTED = "scripted_tryon"
DEADLINE = 15.0
"""Seconds of a request's deadline in the gateway."""
SLACK = 5.0
"""Seconds that an answer may take beyond it on a machine that is busy."""
READY_SECONDS = 240.0

ROW = "what clients saw"


@dataclass
class Gateway:
    """`python -m gateway serve` in its node."""

    network: Network
    node: str
    state: Path
    variables: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.network.addresses[self.node]}:{MAIN}"

    @property
    def log(self) -> str:
        return (self.state / "gateway.log").read_text(errors="replace")

    @property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {KEY}"}
        # Without a context of TLS, whose making takes longer than a request.
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=False)

    def start(self) -> None:
        """Start and wait until every service is ready."""
        self.state.mkdir(parents=True, exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PENTAD_")}
        command = self.network.command(self.node, sys.executable, "-m", "gateway", "serve")
        with (self.state / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**clean, **self.variables}, stdout=log, stderr=log
            )
        self.wait_ready()

    def ready(self) -> bool:
        """Whether `/readyz` says so."""
        assert self.process
        assert self.process.poll() is None, self.log[-3000:]
        with contextlib.suppress(httpx.HTTPError), self.http as http:
            return http.get("/readyz", timeout=20).status_code == 200
        return False

    def wait_ready(self) -> None:
        """Wait for 200 on `/readyz`."""
        wait_for(self.ready, READY_SECONDS, lambda: self.log[-3000:])

    def up(self, triton: str) -> bool:
        """Whether a Triton gets work."""
        address = f"{self.network.addresses[triton]}:{GRPC}"
        with self.http as http:
            return f'pentad_triton_up{{address="{address}"}} 1.0' in http.get("/metrics").text

    def state_of(self, job_id: str) -> str:
        """Return the state of a job."""
        with self.http as http:
            return str(http.get(f"/vton/jobs/{job_id}").json()["state"])

    def node_of(self, job_id: str) -> str:
        """Return the node that works on a job."""
        with self.http as http:
            return str(http.get(f"/vton/jobs/{job_id}").json()["node_id"])

    def stop(self) -> None:
        """End it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)


@dataclass
class Site:
    """All that runs, and what gateways are told of it.

    Attributes:
        runs: file in which the scripted model of try-on notes its runs.
    """

    network: Network
    tritons: dict[str, TritonServer]
    receiver: Receiver
    database: str
    runs: Path
    folder: Path
    gateways: list[Gateway] = field(default_factory=list)

    def begun(self, job_id: str) -> int:
        """Return how often the scripted model has begun with a job."""
        lines = self.runs.read_text().splitlines()
        return sum(line.endswith(f" begin {job_id}") for line in lines)

    def gateway(self, node: str = "gateway", **variables: str) -> Gateway:
        """Make a gateway, not yet started."""
        addresses = self.network.addresses
        state = self.folder / f"{node}-{len(self.gateways)}"
        self.network.know(node, "receiver.test", addresses["receiver"])
        settings = {
            "PENTAD_SERVICES": '["text", "vision", "tryon"]',
            "PENTAD_SERVER__HOST": addresses[node],
            "PENTAD_SERVER__PORT": str(MAIN),
            "PENTAD_SERVER__DRAIN_SECONDS": "1",
            "PENTAD_SECURITY__KEYS": json.dumps([{"name": "tests", "key": KEY}]),
            "PENTAD_PATHS__STATE": str(state),
            "PENTAD_TRITON__START": "false",
            "PENTAD_TRITON__URL": ",".join(f"{addresses[name]}:{GRPC}" for name in TRITONS),
            "PENTAD_TRITON__METRICS_URL": "",
            "PENTAD_TELEMETRY__ACCESS_LOG": "false",
            "PENTAD_TEXT__PORT": "", "PENTAD_VISION__PORT": "",
            "PENTAD_TEXT__DEADLINE_SECONDS": str(DEADLINE),
            "PENTAD_VISION__DEADLINE_SECONDS": str(DEADLINE),
            "PENTAD_TRYON__SERVER__NODE_ID": node,
            "PENTAD_TRYON__JOBS__DATABASE_URL": self.database,
            "PENTAD_TRYON__JOBS__QUEUE_SIZE": "50",
            "PENTAD_TRYON__ASSET_SERVICE__CALLBACK_URL":
                f"http://receiver.test:{RECEIVER}/v1/vton/result",
            **variables,
        }  # fmt: skip
        made = Gateway(self.network, node, state, {k: v for k, v in settings.items() if v != ""})
        self.gateways.append(made)
        return made


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    required()
    binaries()
    remove_stale()
    made = Network(*GATEWAYS, *TRITONS, "postgres", "receiver")
    yield made
    made.remove()


@pytest.fixture(scope="session")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything but gateways."""
    services = ["text", "vision", "tryon"]
    command = [sys.executable, "-m", "export", "--services", *services]
    subprocess.run(command, cwd=ROOT, check=True)
    folder = tmp_path_factory.mktemp("netns")
    scripted = folder / "repository"
    shutil.copytree(MODEL, scripted / SCRIPTED)
    config = scripted / SCRIPTED / "config.pbtxt"
    config.write_text(config.read_text().replace('"tryon"', f'"{SCRIPTED}"'))
    runs = folder / "runs.log"
    runs.touch()
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("TRYON_RUNS", str(runs))  # the model's processes inherit it
        tritons = {}
        for node in TRITONS:
            options = ServerOptions(
                REPOSITORY, (scripted,), host=network.addresses[node], grpc_port=GRPC,
                metrics_port=METRICS, exit_timeout_seconds=5,
            )  # fmt: skip
            log = stack.enter_context((folder / f"{node}.log").open("wb"))
            tritons[node] = TritonServer(options, state=folder / node, output=log)
            stack.callback(tritons[node].stop)
            with network.inside(node):
                tritons[node].start()
        database = postgres(network.addresses["postgres"], network.inside("postgres"))
        url = stack.enter_context(database)
        with network.inside("receiver"):
            receiver = Receiver(RECEIVER, "0.0.0.0")
        stack.callback(receiver.stop)
        for server in tritons.values():
            server.wait_live()
            stack.callback(server.process.terminate)  # both at once, before either is waited for
        made = Site(network, tritons, receiver, url, runs, folder)
        yield made
        for gateway in made.gateways:
            gateway.stop()


@pytest.fixture(scope="session")
def gateway(site: Site) -> Gateway:
    """One before both Tritons, with a queue in PostgreSQL."""
    made = site.gateway()
    made.start()
    return made


Row = Callable[[str], None]


@pytest.fixture
def row(record_property: Callable[[str, object], None]) -> Row:
    """Keeps a line of the table that is printed in the end, in the test's report."""
    return lambda line: record_property(ROW, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    reports = [
        report
        for some in terminalreporter.stats.values()
        for report in some
        if isinstance(report, pytest.TestReport) and report.when == "call"
    ]
    rows = [value for report in reports for name, value in report.user_properties if name == ROW]
    if rows:
        terminalreporter.section("what clients saw")
        lines = ["|fault|text|vision|try-on jobs|", "|---|---|---|---|", *rows]
        terminalreporter.write_line("\n".join(lines))
