"""Images and compose files of earlier versions replaced by those of now, with jobs under way."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.support.container_stack import JOBS, KILLED, MAIN, ContainerStack
from tests.support.container_traffic import Texts
from tests.support.earlier_versions import Earlier, recent, released
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def recent_images(build_earlier: Callable[[str], Earlier]) -> Earlier:
    return build_earlier(recent())


@pytest.mark.parametrize(
    ("services", "stays"),
    [(("gateway",), "triton"), (("models", "triton"), "gateway")],
    ids=["gateway", "triton"],
)
def test_an_image_is_replaced_under_jobs(
    stack: ContainerStack,
    recent_images: Earlier,
    demo: Path,
    services: tuple[str, ...],
    stays: str,
) -> None:
    """`up` with another image; what keeps its own is not touched, and works with both."""
    project = stack.project
    project.images |= {service: recent_images.images[service] for service in services}
    try:
        project.up()
        stack.wait_ready()
        (done,) = stack.ended([stack.submit(demo, 21)])
        waiting = [stack.submit(demo, seed) for seed in range(22, 22 + JOBS)]
        wait_for(lambda: stack.at_work(waiting))
        kept = project.state(stays)["Pid"]
    finally:
        for service in services:
            del project.images[service]
    client = Texts(stack)
    if stays == "gateway":
        client.start()
    replaced = project.up()
    stack.wait_ready()
    stack.check_delivered(waiting)
    if stays == "gateway":  # requests wait for the other Triton, or are refused
        client.ending.set()
        client.join(60)
        assert client.cut == []
        assert {status for status, _ in client.answered} <= {200, 503, 504}
        assert client.answered[-1][0] == 200
    assert replaced.keys() == set(services)
    assert KILLED not in replaced.values(), replaced
    assert project.state(stays)["Pid"] == kept
    check_kept(stack, done)


@pytest.fixture
def of_before(
    stack: ContainerStack, build_earlier: Callable[[str], Earlier], tmp_path: Path
) -> Iterator[ContainerStack]:
    """The version before by its own compose file, with volumes of its own; the stack is stopped."""
    version = build_earlier(released())
    project = replace(
        stack.project, path=version.compose, images=version.images, name="pentad-earlier"
    )
    folder = tmp_path / "secrets"
    shutil.copytree(stack.secret_files, folder)
    for name in {
        name for service in project.services.values() for name in service.get("secrets", [])
    }:
        file = folder / Path(project.content["secrets"][name]["file"]).name
        if not file.exists():  # of that version alone
            file.write_text(secrets.token_hex(32))
    project.secrets = folder
    stack.project.stop()
    try:
        project.up()
        earlier = ContainerStack(project, folder, stack.receiver)
        earlier.wait_ready()
        yield earlier
    finally:
        project.remove(volumes=True)
        stack.project.up()
        stack.wait_ready()


def test_a_version_is_replaced_by_its_own_files(
    stack: ContainerStack, of_before: ContainerStack, demo: Path
) -> None:
    """As docs/operations/deploy.md says: `down` by the files of before, `up` by those of now."""
    (done,) = of_before.ended([of_before.submit(demo, 41)])
    waiting = [of_before.submit(demo, seed) for seed in range(42, 42 + JOBS)]
    wait_for(lambda: of_before.at_work(waiting))
    before = of_before.project
    before.stop()
    of_before.check_stopped_in_order()
    before.remove(volumes=False)
    project = replace(stack.project, name=before.name)
    now = ContainerStack(project, stack.secret_files, stack.receiver)
    try:
        project.up()
        now.wait_ready()
        now.check_delivered(waiting)
        check_kept(now, done)
    finally:
        project.remove(volumes=True)


def check_kept(stack: ContainerStack, done: dict[str, object]) -> None:
    """Check that a job of before is shown as it was, with its result."""
    shown = stack.job(str(done["job_id"]))
    assert (shown["state"], shown["result"]) == ("delivered", done["result"])
    reply = httpx.get(MAIN + shown["result"], headers=stack.headers, timeout=60)
    assert reply.headers["content-type"].startswith("image/")
