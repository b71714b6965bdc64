"""An image of an earlier version replaced by the one of now, with jobs under way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from tests.support.container_stack import JOBS, KILLED, MAIN, ContainerStack
from tests.support.earlier_versions import recent
from tests.support.waiting import wait_for


def test_the_gateway_s_image_is_replaced_under_jobs(
    stack: ContainerStack, build_earlier: Callable[[str], str], demo: Path
) -> None:
    """`up` with another image; Triton, which keeps its own, is not touched and works with both."""
    project = stack.project
    project.images["gateway"] = build_earlier(recent())
    try:
        project.up()
        stack.wait_ready()
        (done,) = stack.ended([stack.submit(demo, 21)])
        waiting = [stack.submit(demo, seed) for seed in range(22, 22 + JOBS)]
        wait_for(lambda: stack.at_work(waiting))
        kept = project.state("triton")["Pid"]
    finally:
        del project.images["gateway"]
    replaced = project.up()
    stack.wait_ready()
    stack.check_delivered(waiting)
    assert replaced.keys() == {"gateway"}
    assert KILLED not in replaced.values()
    assert project.state("triton")["Pid"] == kept
    shown = stack.job(str(done["job_id"]))
    assert (shown["state"], shown["result"]) == ("delivered", done["result"])
    reply = httpx.get(MAIN + shown["result"], headers=stack.headers, timeout=60)
    assert reply.headers["content-type"].startswith("image/")
