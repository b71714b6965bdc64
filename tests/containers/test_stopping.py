"""Stops, crashes and restarts of containers, with jobs under way."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.compose_project import ComposeProject
from tests.support.container_stack import ADDRESS, JOBS, MAIN, ContainerStack
from tests.support.container_traffic import Texts
from tests.support.containers import DOCKER
from tests.support.waiting import wait_for

CLIENTS = 3
"""So many at once that a request is under way at every moment."""


def test_a_stop_drains_the_gateway_before_triton_ends(stack: ContainerStack, demo: Path) -> None:
    """The request under way is answered, then nobody is let in; nobody is killed."""
    jobs = [stack.submit(demo, seed) for seed in range(JOBS)]
    wait_for(lambda: stack.at_work(jobs))
    clients = [Texts(stack) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    wait_for(lambda: all(client.answered for client in clients))
    for client in clients:
        client.stopping.set()
    begin = time.monotonic()
    stack.project.stop()
    for client in clients:
        client.join(60)
        assert not client.is_alive()
        assert client.cut == []
        assert {status for status, _ in client.answered} <= {200, 503}
    stack.check_stopped_in_order()
    last = max(client.answered[-1][1] for client in clients)
    assert last > begin, "a request was under way"
    stack.project.up()
    stack.wait_ready()
    stack.check_delivered(jobs)


@pytest.mark.parametrize(
    ("service", "program"),
    [
        ("gateway", ""),
        ("triton", ""),
        ("triton", "tritonserver"),
        ("triton", "tryon"),
    ],
    ids=["gateway", "triton-init", "tritonserver", "model"],
)
def test_a_kill_loses_no_accepted_job(
    stack: ContainerStack, demo: Path, service: str, program: str
) -> None:
    pid = stack.project.state(service)["Pid"]
    jobs = [stack.submit(demo, seed) for seed in range(JOBS)]
    wait_for(lambda: stack.at_work(jobs))
    stack.crash(service, program=program)
    if program != "tryon":
        stack.wait_restarted(service, pid)
    stack.wait_ready()
    stack.check_delivered(jobs)


def test_everything_comes_back_with_its_volumes(stack: ContainerStack, demo: Path) -> None:
    """`down` and `up`: results of before are there, nothing is exported again."""
    (job,) = stack.ended([stack.submit(demo, 11)])
    before = httpx.get(MAIN + job["result"], headers=stack.headers, timeout=60).content
    stack.project.stop()
    stack.project.remove(volumes=False)
    begin = time.monotonic()
    stack.project.up()
    stack.wait_ready()
    assert "written" not in stack.project.log("models"), stack.project.log("models")
    after = httpx.get(MAIN + job["result"], headers=stack.headers, timeout=60)
    assert after.content == before
    assert time.monotonic() - begin < 240


def test_jobs_in_postgresql_outlive_its_kill(
    stack: ContainerStack,
    postgres_base: str,
    secret_files: Path,
    demo: Path,
) -> None:
    """The profile `postgres`, with the URL that docs/operations/deploy.md names."""
    word = quote((secret_files / "postgres-password").read_text().strip())
    project = ComposeProject(
        stack.project.engine,
        DOCKER / "compose.cpu.yaml",
        {
            "PENTAD_BIND": ADDRESS,
            "PENTAD_TRYON__JOBS__DATABASE_URL": (
                f"postgresql+psycopg://pentad:{word}@postgres/pentad"
            ),
        },
        profiles=("postgres",),
        mounts=stack.project.mounts,
        secrets=secret_files,
        name=stack.project.name,
        environment=stack.project.environment,
    )
    there = ContainerStack(project, secret_files, stack.receiver)
    assert project.order().index("postgres") < project.order().index("gateway")
    try:
        project.start("postgres")
        project.wait_healthy("postgres", 120)
        project.recreate("gateway")
        there.wait_ready()
        pid = project.state("postgres")["Pid"]
        jobs = [there.submit(demo, seed) for seed in range(31, 31 + JOBS)]
        wait_for(lambda: there.at_work(jobs))
        there.crash("postgres")
        there.wait_restarted("postgres", pid)
        there.check_delivered(jobs)
        assert word not in project.log("gateway") + project.log("postgres")
    finally:
        project.engine.run_podman("rm", "--force", project.container("postgres"))
        project.engine.run_podman("volume", "rm", "--force", f"{project.name}_postgres")
        stack.project.recreate("gateway")
    stack.wait_ready()
