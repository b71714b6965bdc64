"""Jobs that nobody sent, jobs that were sent twice, and the least that can be sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_pictures import png
from tests.support.tryon_gateway import tryon_gateway


@pytest.mark.parametrize("config", [None, "", "{}"])
async def test_a_job_without_options_is_one_with_none(tmp_path: Path, config: str | None) -> None:
    async with tryon_gateway(tmp_path) as g:
        assert (await g.submit("x", config=config)).status_code == 202
        await g.until("x", "delivered")
        assert (await g.submit("x", config="{}")).json()["message"].startswith("Job already known")


STRANGE_IDS = [
    "%00", "%ff", "a%00b", "..", "%2e%2e", "../../etc/passwd", "%0d%0aX: y", "%F0%9F%98%80",
    "x" * 5000, "%ED%A0%80",
    "'; DROP TABLE tryon_jobs; --", "%25", "a%2Fresult", "result",
    "events/events",
]  # fmt: skip


@pytest.mark.parametrize("job_id", STRANGE_IDS)
async def test_strange_ids_are_nobody_s(tmp_path: Path, job_id: str) -> None:
    async with tryon_gateway(tmp_path) as g:
        for path in ("", "/result", "/events", "/person", "/comparison"):
            reply = await g.own.get(f"/jobs/{job_id}{path}")
            assert reply.status_code in (404, 405), (path, reply.text)
            assert reply.json()["detail"]
        assert (await g.own.delete(f"/jobs/{job_id}")).status_code in (404, 405)
        assert (await g.own.post(f"/jobs/{job_id}/redeliver")).status_code in (404, 405)


async def test_who_sends_a_job_again_learns_how_far_it_is(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon={"jobs": {"queue_size": 5}}) as g:

        async def words(job_id: str, **changes: object) -> str:
            reply = await g.submit(job_id, **changes)
            assert reply.status_code == 202
            assert reply.json()["status"] == "accepted"
            return str(reply.json()["message"])

        fails = {"garment_image": png(extra=b"fail:garment:Inference;")}
        assert await words("bad", **fails) == "Job queued for processing"
        await g.until("bad", "failed")
        assert await words("bad", **fails) == "Job already known: it failed (garment)"
        g.triton.gate.clear()
        await g.submit("runs")
        await g.until("runs", "running")
        for job_id in ("one", "two"):
            await g.submit(job_id)
        assert await words("runs") == "Job already known: it runs, 0% done"
        assert await words("two") == "Job already known: it waits, 1 before it"
        await g.own.delete("/jobs/one")
        assert await words("one") == "Job already known: it was cancelled"
        assert await words("two") == "Job already known: it waits, 0 before it"
        g.triton.gate.set()
        await g.until("two", "delivered")
        await g.service.jobs.store.expire(1e12)
        assert await words("two") == "Job already known: it is over, and its pictures have expired"


async def test_a_wrong_method_is_told_all_that_a_path_has(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        for path, methods in {"/jobs/a": "DELETE, GET", "/jobs/a/redeliver": "POST"}.items():
            reply = await g.own.put(path)
            assert (reply.status_code, reply.headers["Allow"]) == (405, methods), path
