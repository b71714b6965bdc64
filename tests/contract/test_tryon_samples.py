"""Several pictures of one job, and what engines cannot do, told before a job is accepted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.callback_receiver import RESULT, Receiver
from tests.support.tryon_gateway import tryon_gateway
from tests.support.tryon_triton import TryonTriton
from tests.support.waiting import until

SELDOM = {"canary_interval_seconds": 3600}
OFTEN = {"canary_interval_seconds": 0.05}


@pytest.mark.parametrize("storage", ["folder", "database"])
@pytest.mark.parametrize("kind", ["multipart", "json"])
async def test_every_picture_is_kept_and_sent(tmp_path: Path, storage: str, kind: str) -> None:
    receiver = Receiver()
    tryon = {
        "asset_service": {"callback_url": receiver.result_url, "format": kind},
        "jobs": {"poll_seconds": 0.05, "storage": storage},
    }
    try:
        async with tryon_gateway(tmp_path, tryon=tryon) as g:
            await g.submit("several", config='{"num_samples": 3, "seed": 7}')
            job = await g.until("several", "delivered")
            assert job["num_samples"] == 3
            path = "/jobs/several/result"
            assert job["result"] == path
            assert job["results"] == [path, f"{path}?sample=2", f"{path}?sample=3"]
            replies = [await g.own.get(one) for one in job["results"]]
            assert {reply.headers["content-type"] for reply in replies} == {"image/png"}
            assert len({reply.content for reply in replies}) == 3
            assert len({reply.headers["etag"] for reply in replies}) == 3
            assert (await g.own.get(f"{path}?sample=1")).content == replies[0].content
            assert (await g.own.get(f"{path}?sample=4")).status_code == 404
            for wrong in ("0", "5", "x", "-1"):
                assert (await g.own.get(f"{path}?sample={wrong}")).status_code == 422
            await until(lambda: receiver.of(RESULT, 200))
            fields = receiver.of(RESULT, 200)[0].fields
            sent = fields if kind == "multipart" else fields["data"]
            names = ("output_image", "output_image_2", "output_image_3")
            assert [name for name in sent if name.startswith("output_image")] == list(names)
            if kind == "multipart":
                assert [sent[name] for name in names] == [reply.content for reply in replies]
    finally:
        receiver.stop()


async def test_one_picture_is_as_it_always_was(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        await g.submit("one")
        job = await g.until("one", "delivered")
        assert (job["num_samples"], job["results"]) == (1, [job["result"]])
        assert (await g.own.get("/jobs/one/result?sample=2")).status_code == 404


async def test_a_job_without_pictures_has_none(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with tryon_gateway(tmp_path, TryonTriton(gate=gate)) as g:
        await g.submit("waits", config='{"num_samples": 2}')
        job = await g.job("waits")
        assert (job["num_samples"], job["result"], job["results"]) == (2, None, [])
        assert (await g.own.get("/jobs/waits/result?sample=2")).status_code in (404, 409)
        gate.set()
        await g.until("waits", "delivered")


@pytest.mark.parametrize("number", ["0", "5", "1.5", "true", '"2"'])
async def test_a_number_that_no_engine_makes_is_refused(tmp_path: Path, number: str) -> None:
    async with tryon_gateway(tmp_path) as g:
        refused = await g.submit("x", config=f'{{"num_samples": {number}}}')
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("config.num_samples: ")
        assert (await g.own.get("/jobs")).json()["jobs"] == []


async def test_what_the_default_engine_cannot_do_is_refused_in_words(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, health=SELDOM) as g:
        unknown = await g.submit("x", config='{"category": "shoes"}')
        assert unknown.status_code == 400
        assert "dresses" in unknown.json()["detail"]
        g.service.model.engine = "warp"
        refused = await g.submit("x", config='{"num_samples": 2}')
        assert (refused.status_code, refused.json()["detail"]) == (
            400,
            "config.num_samples: the engine warp makes one picture of a job",
        )
        assert (await g.submit("x", config='{"num_samples": 1}')).status_code == 202


async def test_an_engine_whose_server_is_away_takes_no_job(tmp_path: Path) -> None:
    triton = TryonTriton()
    async with tryon_gateway(tmp_path, triton, health=OFTEN) as g:
        triton.absent = "the server cannot be reached"
        await until(lambda: not g.service.loaded)
        test = (await g.own.get("/test")).json()
        assert (test["status"], test["detail"]) == ("loading", "the server cannot be reached")
        refused = await g.submit("x")
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        reloads = g.service.model.reloads
        triton.absent = None
        await until(lambda: g.service.loaded)
        assert g.service.model.reloads == reloads == 0  # nothing here was at fault
        assert (await g.submit("x")).status_code == 202
        await g.until("x", "delivered")
