"""Images of an earlier version replaced by those of now, with jobs under way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.container_stack import JOBS, KILLED, MAIN, ContainerStack
from tests.support.container_traffic import Texts
from tests.support.earlier_versions import recent
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def recent_images(build_earlier: Callable[[str], dict[str, str]]) -> dict[str, str]:
    return build_earlier(recent())


@pytest.mark.parametrize(
    ("services", "stays"),
    [(("gateway",), "triton"), (("models", "triton"), "gateway")],
    ids=["gateway", "triton"],
)
def test_an_image_is_replaced_under_jobs(
    stack: ContainerStack,
    recent_images: dict[str, str],
    demo: Path,
    services: tuple[str, ...],
    stays: str,
) -> None:
    """`up` with another image; what keeps its own is not touched, and works with both."""
    project = stack.project
    project.images |= {service: recent_images[service] for service in services}
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


def check_kept(stack: ContainerStack, done: dict[str, object]) -> None:
    """Check that a job of before is shown as it was, with its result."""
    shown = stack.job(str(done["job_id"]))
    assert (shown["state"], shown["result"]) == ("delivered", done["result"])
    reply = httpx.get(MAIN + shown["result"], headers=stack.headers, timeout=60)
    assert reply.headers["content-type"].startswith("image/")
