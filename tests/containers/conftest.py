"""Pentad in containers, built by docker/'s own files and brought up from docker/compose.cpu.yaml.

Order: images, then one stack for all of them, whose containers are stopped, killed and replaced.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from requirements.debian import CONTAINERS, missing
from tests.support.base_images import make, stand_ins
from tests.support.browser import dashboard, headless_browser
from tests.support.callback_receiver import RESULT, Receiver
from tests.support.compose_project import ComposeProject
from tests.support.container_engine import Engine
from tests.support.container_stack import ADDRESS, AUTH_TOKEN, ContainerStack
from tests.support.containers import DOCKER, ROOT, versions
from tests.support.earlier_versions import check_out
from tests.support.package_indexes import PackageIndexes

KEEP = "KEEP_CONTAINERS" in os.environ
"""Whoever works on these tests keeps images and stack from one run to the next."""


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says what whoever reads the output must know, also when all is well."""
    plugins = request.config.pluginmanager
    reporter, capture = map(plugins.getplugin, ("terminalreporter", "capturemanager"))

    def write(sentence: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"containers: {sentence}")

    return write


@pytest.fixture(scope="session")
def engine() -> Engine:
    if os.geteuid() != 0 or missing(CONTAINERS):
        pytest.skip("needs root and what requirements/containers.py installs")
    return Engine()


@pytest.fixture(scope="session")
def indexes(engine: Engine) -> PackageIndexes:
    return PackageIndexes(engine.folder / "indexes")


@pytest.fixture(scope="session")
def python_base(engine: Engine, tell: Callable[[str], None]) -> str:
    """What stands in for the Python image."""
    wanted = stand_ins()["python"]
    make(engine, wanted, tell)
    return wanted.name


@pytest.fixture(scope="session")
def gateway_image(engine: Engine, python_base: str, indexes: PackageIndexes) -> str:
    """docker/gateway.Dockerfile, built."""
    return _built(engine, "gateway", indexes)


@pytest.fixture(scope="session")
def triton_image(engine: Engine, python_base: str, indexes: PackageIndexes) -> str:
    """docker/triton-cpu.Dockerfile, built."""
    return _built(engine, "triton-cpu", indexes)


def _built(
    engine: Engine,
    name: str,
    indexes: PackageIndexes,
    source: Path = ROOT,
    version: str | None = None,
) -> str:
    """Build an image out of a checkout and return its name."""
    given = versions(source / "docker")
    tag = f"localhost/pentad-{name}:{version or given['PENTAD_TAG']}"
    if KEEP and engine.has_image(tag):
        return tag
    arguments = {"PYTHON_TAG": given["PYTHON_TAG"]}
    if name == "triton-cpu" and indexes.extra:
        arguments["PYTORCH_INDEX"] = indexes.extra  # its own may be out of this machine's reach
    file = source / "docker" / f"{name}.Dockerfile"
    engine.build(file, tag, arguments, context=source, indexes=indexes)
    return tag


@pytest.fixture(scope="session")
def postgres_base(engine: Engine, tell: Callable[[str], None]) -> str:
    """What stands in for the PostgreSQL image."""
    wanted = stand_ins()["postgres"]
    make(engine, wanted, tell)
    return wanted.name


@pytest.fixture(scope="session")
def secret_files(engine: Engine) -> Path:
    """A folder like docker/secrets, as docs/operations/deploy.md says to fill it."""
    folder = engine.folder / "secrets"
    if KEEP and folder.is_dir():
        return folder
    folder.mkdir(mode=0o700, exist_ok=True)
    key = secrets.token_hex(24)
    (folder / "client-keys.yaml").write_text(f'- {{name: app, key: {key}, services: ["*"]}}\n')
    (folder / "postgres-password").write_text(secrets.token_hex(16))
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Whoever gets the results of try-on jobs; the containers reach it through their network."""
    running = Receiver(host="0.0.0.0")  # that network is there with the first container only
    yield running
    running.stop()


@pytest.fixture
def stack(shared_stack: ContainerStack) -> ContainerStack:
    """The one of all tests, up and ready, whatever the test before has left."""
    if shared_stack.status("/readyz") != 200:
        shared_stack.project.up()
        shared_stack.wait_ready()
    return shared_stack


@pytest.fixture(scope="session")
def shared_stack(
    engine: Engine,
    gateway_image: str,
    triton_image: str,
    indexes: PackageIndexes,
    secret_files: Path,
    receiver: Receiver,
    tell: Callable[[str], None],
) -> Iterator[ContainerStack]:
    """docker/compose.cpu.yaml, up; without volumes of an earlier run.

    Jobs of try-on may wait, and their results go to the receiver, by lines under `environment`.
    """
    url = f"http://host.containers.internal:{receiver.port}{RESULT}"
    variables = {
        "PENTAD_TRYON__JOBS__QUEUE_SIZE": "100",
        "PENTAD_TRYON__ASSET_SERVICE__CALLBACK_URL": url,
        AUTH_TOKEN: secrets.token_hex(16),
    }
    project = ComposeProject(
        engine,
        DOCKER / "compose.cpu.yaml",
        {"PENTAD_BIND": ADDRESS},
        mounts={"models": indexes.mounts("/var/lib/pentad")},
        secrets=secret_files,
        name="pentad-test",
        environment={"gateway": variables},
    )
    if not KEEP:
        project.remove(volumes=True)
    running = ContainerStack(project, secret_files, receiver)
    for limit in project.lowered():
        tell(f"a limit that this machine does not let a process raise: {limit}")
    try:
        project.up()
        running.wait_ready()
        yield running
    finally:
        if not KEEP:
            project.remove(volumes=True)


@pytest.fixture(scope="session")
def demo() -> Path:
    """The two pictures that the examples of try-on send."""
    folder = ROOT / "var" / "demo"
    command = [sys.executable, "-m", "export", "tryon-demo", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    dashboard("install")  # axe-core
    with headless_browser() as running:
        yield running


@pytest.fixture(scope="session")
def build_earlier(
    engine: Engine,
    python_base: str,
    indexes: PackageIndexes,
    tell: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], str]:
    """Builds the gateway's image of an earlier version by its own Dockerfile; returns its name."""

    def build(revision: str) -> str:
        source = check_out(revision, tmp_path_factory.mktemp("earlier") / revision)
        tell(f"the gateway's image of an earlier version is built from {revision}")
        tag = versions(source / "docker")["PYTHON_TAG"]
        engine.podman("tag", python_base, f"docker.io/library/python:{tag}")
        return _built(engine, "gateway", indexes, source, revision)

    return build
