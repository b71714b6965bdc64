"""Jobs: states, idempotency, queue, cancellation, events, pictures, expiry."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import BusyError, UnavailableError
from gateway.triton.status import ModelDeadError
from tests.support.callback_receiver import COMPLETE, RESULT, Receiver, always
from tests.support.tiny_pictures import png
from tests.support.tryon_gateway import tryon_gateway
from tests.support.tryon_triton import TryonTriton
from tests.support.waiting import PATIENCE, until

QUEUE = {"jobs": {"queue_size": 5, "poll_seconds": 0.05}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


def sends(receiver: Receiver, **changes: object) -> dict[str, object]:
    """The section of a service that calls ``receiver``."""
    return {
        "asset_service": {
            "callback_url": receiver.result_url, "internal_auth_token": "asset-token",
            "retry_backoff": [0.05],
        },
        "load_balancer": {"url": receiver.base_url, "internal_auth_token": "balancer-token"},
        "callbacks": {"max_delay_seconds": 0.1},
        "jobs": {"queue_size": 5, "poll_seconds": 0.05},
        **changes,
    }  # fmt: skip


async def test_same_id_same_body_is_the_same_job(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon=QUEUE) as g:
        first = await g.submit("same", config='{"seed": 1, "steps": 2}')
        again = await g.submit("same", config='{"steps": 2, "seed": 1}')
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["message"] == "Job queued for processing"  # as documented
        assert again.json()["message"].startswith("Job already known: ")
        assert first.json() == {**again.json(), "message": first.json()["message"]}
        assert first.headers["Location"] == again.headers["Location"]
        await g.until("same", "delivered")
        late = await g.submit("same", config='{"seed": 1, "steps": 2}')
        assert late.status_code == 202
        assert late.json()["message"] == "Job already known: the result is made and delivered"
        assert len(g.triton.runs) == 1
        for changes in (
            {"config": '{"seed": 2, "steps": 2}'},
            {"config": '{"seed": 1, "steps": 2}', "user_id": "other"},
            {"config": '{"seed": 1, "steps": 2}', "garment_image": png(20, 20)},
        ):
            other = await g.submit("same", **changes)
            assert other.status_code == 409
            assert other.json() == {"detail": "A job with this id and another body exists"}
        folders = list((tmp_path / "tryon" / "files").iterdir())
        assert len(folders) == 1  # what was refused or repeated left nothing


async def test_many_at_once_with_one_id_are_one_job(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon=QUEUE) as g:
        replies = await asyncio.gather(*(g.submit("one") for _ in range(12)))
        assert {reply.status_code for reply in replies} == {202}
        await g.until("one", "delivered")
        assert [run["job_id"] for run in g.triton.runs] == ["one"]


async def test_queue_order_positions_and_limit(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon=QUEUE) as g:
        g.triton.gate.clear()
        assert (await g.submit("q0")).status_code == 202
        await g.until("q0", "running")
        for number in range(1, 6):
            assert (await g.submit(f"q{number}")).status_code == 202
        assert (await g.submit("q6")).status_code == 429
        assert (await g.job("q3"))["position"] == 2
        await until(lambda: g.service.slot.queued == 5)  # is counted now and then
        assert (await g.own.get("/gpu/status")).json()["queue_length"] == 5
        g.triton.gate.set()
        await g.until("q5", "delivered")
        assert g.triton.ended == [f"q{number}" for number in range(6)]
        assert g.triton.most_at_once == 1


async def test_list_is_paged_and_counted(tmp_path: Path) -> None:
    jobs = {"jobs": {"queue_size": 20, "poll_seconds": 0.05}}
    async with tryon_gateway(tmp_path, tryon=jobs) as g:
        for number in range(7):
            await g.submit(f"j{number}")
        await g.until("j6", "delivered")
        seen, cursor = [], None
        while True:
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = (await g.own.get("/jobs", params=query)).json()
            seen += [job["job_id"] for job in page["jobs"]]
            assert page["counts"] == {"delivered": 7}
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == [f"j{number}" for number in reversed(range(7))]
        assert (await g.own.get("/jobs", params={"state": "failed"})).json()["jobs"] == []
        assert (await g.own.get("/jobs", params={"state": "odd"})).status_code == 422
        assert (await g.own.get("/jobs", params={"cursor": "odd"})).status_code == 400


async def test_pictures_of_a_job(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.gate.clear()
        person, garment = png(40, 60), png(33, 44, b"zzz")
        await g.submit(
            "p", masked_user_image=person, garment_image=garment, config='{"comparison": true}'
        )
        assert (await g.own.get("/jobs/p/result")).status_code == 409
        g.triton.gate.set()
        job = await g.until("p", "delivered")
        result = await g.own.get(job["result"])
        assert (result.status_code, result.headers["content-type"]) == (200, "image/png")
        assert result.headers["etag"]
        again = await g.own.get(job["result"], headers={"If-None-Match": result.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await g.own.get("/jobs/p/person")).content == person
        assert (await g.own.get("/jobs/p/garment")).content == garment
        assert (await g.own.get("/jobs/p/comparison")).content.startswith(b"\x89PNG")
        for path in ("/jobs/none", "/jobs/none/result", "/jobs/none/events"):
            assert (await g.own.get(path)).status_code == 404
        assert (await g.own.delete("/jobs/none")).status_code == 404


@pytest.mark.parametrize(
    "job_id", ["a\nb", "a\x00b", "a\x85b", "x" * 513, "x" * 256, "a/b", "/", "..", "."]
)
async def test_ids_that_fit_an_address(tmp_path: Path, job_id: str) -> None:
    async with tryon_gateway(tmp_path) as g:
        reply = await g.submit(job_id)
        assert reply.status_code == 422
        assert reply.json()["detail"][0]["loc"] == ["body", "job_id"]
        assert (await g.submit("x", user_id="a\x00b")).status_code == 422


async def test_ids_may_hold_any_other_characters(tmp_path: Path, receiver: Receiver) -> None:
    odd = "..a b ü?#%2F;'\\\""
    async with tryon_gateway(tmp_path, tryon=sends(receiver)) as g:
        reply = await g.submit(odd)
        assert reply.status_code == 202
        job_id = reply.json()["job_id"]
        place = reply.headers["location"]
        end = time.monotonic() + PATIENCE
        while (job := (await g.own.get(place)).json())["state"] != "delivered":
            assert time.monotonic() < end, job
            await asyncio.sleep(0.01)
        assert job["job_id"] == job_id
        assert (await g.own.get(f"{place}/result")).status_code == 200
        assert receiver.of(COMPLETE)[0].fields["job_id"] == job_id
        assert {path.name for path in tmp_path.iterdir()} == {"tryon", "empty.yaml", "gateway.lock"}


async def test_cancel_in_the_queue_and_in_inference(tmp_path: Path, receiver: Receiver) -> None:
    async with tryon_gateway(tmp_path, tryon=sends(receiver)) as g:
        g.triton.gate.clear()  # without a cancellation it runs for ever
        await g.submit("runs")
        await g.submit("waits")
        await g.until("runs", "running")
        gone = await g.own.delete("/jobs/waits")
        assert (gone.status_code, gone.json()) == (202, {"job_id": "waits", "state": "cancelled"})
        assert (await g.own.delete("/jobs/runs")).status_code == 202
        job = await g.until("runs", "cancelled")
        assert job["error"]["code"] == "cancelled"
        assert g.triton.stopped == ["runs"]
        assert (await g.own.delete("/jobs/runs")).status_code == 409
        g.triton.gate.set()
        await g.submit("next")
        await g.until("next", "delivered")
        await until(lambda: len(receiver.of(COMPLETE)) == 3)  # the balancer learns of each
        errors = {one.fields["job_id"]: one.fields.get("error") for one in receiver.of(RESULT)}
        assert errors["runs"].startswith("cancelled:")
        assert errors["waits"].startswith("cancelled:")
        assert errors["next"] is None


async def test_events_until_the_end(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.permits = asyncio.Semaphore(0)
        await g.submit("e")
        stream = g.follow("e", (b"last-event-id", b"3"))
        for fraction in (0.25, 0.5, 0.75):
            g.triton.permits.release()
            await until(lambda told=f'"progress":{fraction}': told in stream.text)
        g.triton.permits.release()
        await stream.task
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [part.split("\n") for part in stream.text.strip().split("\n\n")]
        kinds = [lines[0] for lines in events]
        assert kinds[-1] == "event: end"
        assert set(kinds[:-1]) == {"event: progress"}
        told = [json.loads(lines[1].removeprefix("data: ")) for lines in events]
        fractions = [one["progress"] for one in told]
        assert fractions == sorted(fractions)
        assert {0.25, 0.5, 0.75} <= set(fractions)
        assert told[-1]["state"] == "delivered"


@pytest.mark.parametrize("code", ["input", "pose", "garment", "pipeline"])
async def test_a_failed_job_says_why_and_is_delivered(
    tmp_path: Path, receiver: Receiver, code: str
) -> None:
    async with tryon_gateway(tmp_path, tryon=sends(receiver)) as g:
        await g.submit("bad", garment_image=png(extra=f"fail:{code}:Inference;".encode()))
        job = await g.until("bad", "failed")
        assert (job["error"]["code"], job["result"]) == (code, None)
        assert job["error"]["step"] == "Inference"
        assert (await g.own.get("/jobs/bad/result")).status_code == 409
        await until(lambda: len(receiver.of(COMPLETE)) == 1)
        told = receiver.of(RESULT)[0]
        assert told.headers["content-type"].startswith("multipart/form-data")
        assert told.fields["error"].startswith(f"{code}: ")
        assert told.fields["inference_time_ms"] == "0"
        assert "output_image" not in told.fields


async def test_failure_in_the_old_form(tmp_path: Path, receiver: Receiver) -> None:
    tryon = sends(receiver)
    tryon["asset_service"] = {"callback_url": receiver.result_url, "multipart_errors": False}
    async with tryon_gateway(tmp_path, tryon=tryon) as g:
        await g.submit("bad", garment_image=png(extra=b"fail:pose:Inference;"))
        await until(lambda: len(receiver.of(RESULT)) == 1)
        told = receiver.of(RESULT)[0]
        assert told.headers["content-type"] == "application/x-www-form-urlencoded"
        assert told.fields["error"].startswith("pose: ")


async def test_callbacks_as_documented(tmp_path: Path, receiver: Receiver) -> None:
    async with tryon_gateway(tmp_path, tryon=sends(receiver)) as g:
        await g.submit("cb")
        await g.until("cb", "delivered")
        result = (await g.own.get("/jobs/cb/result")).content
        (asset,), (balancer,) = receiver.of(RESULT), receiver.of(COMPLETE)
        assert asset.headers["x-internal-auth"] == "asset-token"
        assert asset.headers["content-type"].startswith("multipart/form-data")
        fields = asset.fields
        assert fields.pop("output_image") == result
        assert fields == {
            "job_id": "cb", "user_id": "user-1", "session_id": fields["session_id"],
            "provider": "qwen", "node_id": "gpu-node-1", "model_version": "1.0.0",
            "inference_time_ms": "0",
        }  # fmt: skip
        assert b'filename="result.png"\r\nContent-Type: image/png\r\n' in asset.body
        assert balancer.headers["content-type"] == "application/json"
        assert balancer.headers["x-internal-auth"] == "balancer-token"
        assert balancer.fields == {"node_id": "gpu-node-1", "job_id": "cb", "metadata": {}}
        assert asset.at <= balancer.at
        secret = (tmp_path / "tryon" / "webhook.secret").read_text().strip()
        for one in (asset, balancer):
            assert one.signed_by(secret)
            assert not one.signed_by("whsec_b3RoZXI=")


async def test_the_model_is_free_while_a_receiver_hangs(tmp_path: Path, receiver: Receiver) -> None:
    receiver.behave = always(-1)
    patient = {"callback_url": receiver.result_url, "timeout": 600}
    async with tryon_gateway(tmp_path, tryon=sends(receiver, asset_service=patient)) as g:
        for number in range(4):
            await g.submit(f"h{number}")
        await until(lambda: len(g.triton.ended) == 4)
        for number in range(4):
            await g.until(f"h{number}", "delivering")
        assert receiver.of(COMPLETE) == []
        assert len(receiver.of(RESULT)) <= 4  # nobody was asked a second time, so the first hang
        receiver.release()


async def test_private_receivers_only_if_allowed(tmp_path: Path, receiver: Receiver) -> None:
    tryon = sends(receiver, callbacks={"private_addresses": False, "max_delay_seconds": 0.1})
    async with tryon_gateway(tmp_path, tryon=tryon) as g:
        await g.submit("p")
        end = time.monotonic() + PATIENCE
        while not (asset := (await g.job("p"))["callbacks"]) or asset[0]["attempts"] < 2:
            assert time.monotonic() < end, asset
            await asyncio.sleep(0.02)
        assert asset[0]["last_status"] is None
        assert receiver.received == []


async def test_rotated_secrets(tmp_path: Path, receiver: Receiver) -> None:
    tryon = sends(receiver)
    tryon["asset_service"] = {
        "callback_url": receiver.result_url,
        "webhook_secrets": ["whsec_bmV3", "whsec_b2xk"],
    }
    async with tryon_gateway(tmp_path, tryon=tryon) as g:
        await g.submit("s")
        await g.until("s", "delivered")
        told = receiver.of(RESULT)[0]
        assert told.signed_by("whsec_bmV3")
        assert told.signed_by("whsec_b2xk")


async def test_an_event_stream_ends_when_the_gateway_stops(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path) as g:
        g.triton.gate.clear()
        await g.submit("e")
        await g.until("e", "running")
        stream = g.follow("e")
        await until(lambda: "event: progress" in stream.text)
        await g.service.drain(0)
        await stream.task
        assert "event: end" not in stream.text  # the job is not over


async def test_a_triton_that_is_away_costs_one_attempt(tmp_path: Path) -> None:
    health = {"canary_interval_seconds": 0.05}
    async with tryon_gateway(tmp_path, tryon=QUEUE, health=health) as g:
        g.triton.failures_kill = True
        g.triton.run_failures += [UnavailableError() for _ in range(100)]
        await g.submit("waits")
        await until(lambda: len(g.triton.runs) == 1)
        await g.until("waits", "queued")
        await asyncio.sleep(0.5)  # many a look
        assert len(g.triton.runs) == 1
        assert (await g.job("waits"))["state"] == "queued"
        g.triton.run_failures.clear()
        g.triton.is_live = True
        assert (await g.until("waits", "delivered"))["attempts"] == 2


async def test_expiry(tmp_path: Path) -> None:
    jobs = {"jobs": {"poll_seconds": 0.05, "result_ttl_seconds": 0.3}}
    async with tryon_gateway(tmp_path, tryon=jobs) as g:
        await g.submit("old")
        await g.until("old", "delivered", "expired")  # on a slow machine it may be that far
        await asyncio.sleep(0.35)
        await g.service.janitor.rare_round()
        job = await g.job("old")
        assert (job["state"], job["result"]) == ("expired", None)
        for name in ("result", "person", "garment"):
            assert (await g.own.get(f"/jobs/old/{name}")).status_code == 410
        assert list((tmp_path / "tryon" / "files").iterdir()) == []
        assert (await g.own.post("/jobs/old/redeliver")).status_code == 409


async def test_deadline_in_the_queue_and_in_inference(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, tryon=QUEUE) as g:
        g.triton.gate.clear()
        await g.submit("long")
        await g.until("long", "running")
        await g.submit("short", config='{"deadline_seconds": 0.2}')
        job = await g.until("short", "failed")
        assert job["error"]["code"] == "timeout"
        g.triton.gate.set()
        await g.until("long", "delivered")
        assert [run["job_id"] for run in g.triton.runs] == ["long"]


async def test_a_dead_model_s_job_is_run_again(tmp_path: Path) -> None:
    health = {"canary_interval_seconds": 0.05}
    async with tryon_gateway(tmp_path, tryon=QUEUE, health=health) as g:
        g.triton.run_failures += [ModelDeadError("tryon"), UnavailableError(), BusyError()]
        await g.submit("again")
        job = await g.until("again", "delivered")
        assert job["attempts"] == 3  # the refusal of a busy model is none
        assert len(g.triton.runs) == 4


async def test_a_job_that_kills_the_model_is_given_up(tmp_path: Path) -> None:
    health = {"canary_interval_seconds": 0.05}
    async with tryon_gateway(tmp_path, tryon=QUEUE, health=health) as g:
        g.triton.run_failures += [ModelDeadError("tryon") for _ in range(3)]
        await g.submit("poison")
        job = await g.until("poison", "failed")
        assert (job["attempts"], job["error"]["code"]) == (3, "pipeline")


async def test_jobs_outlive_the_gateway(tmp_path: Path, receiver: Receiver) -> None:
    receiver.behave = always(500)
    async with tryon_gateway(tmp_path, tryon=sends(receiver)) as g:
        await g.submit("first")
        await g.until("first", "delivering")
        g.triton.gate.clear()
        await g.submit("second")
        await g.until("second", "running")
    receiver.behave = always(200)
    triton = TryonTriton()
    async with tryon_gateway(tmp_path, triton, tryon=sends(receiver)) as g:
        await g.until("first", "delivered")
        job = await g.until("second", "delivered")
        assert job["attempts"] == 1  # an orderly stop does not count
        assert [run["job_id"] for run in triton.runs] == ["second"]
        ids = [one.event_id for one in receiver.of(RESULT, 200)]
        assert sorted(ids) == ["first_asset_service", "second_asset_service"]
