"""Receivers that are down, slow, rude or full, and what reaches them in the end."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.callback_receiver import COMPLETE, RESULT, Received, Receiver, always
from tests.triton.tryon.jobs.conftest import Make, Standing


@pytest.mark.parametrize("status", [500, 0, -1], ids=["500", "cut", "hanging"])
def test_failing_attempts_are_repeated(standing: Standing, status: int) -> None:
    gateway, receiver = standing.gateway, standing.receiver
    times: dict[str, int] = {}

    def twice(one: Received) -> tuple[int, dict[str, str]]:
        times[one.path] = times.get(one.path, 0) + 1
        return (status if times[one.path] <= 2 else 204, {})

    receiver.behave = twice
    gateway.submit(f"again-{status}")
    job = gateway.until(f"again-{status}", "delivered")
    assert [one["attempts"] for one in job["callbacks"]] == [3, 3]
    assert [one["last_status"] for one in job["callbacks"]] == [204, 204]
    ids = [one.event_id for one in receiver.of(RESULT)]
    assert ids == [f"again-{status}_asset_service"] * 3
    stamps = [float(one.headers["webhook-timestamp"]) for one in receiver.of(RESULT)]
    assert stamps == sorted(stamps)


def test_down_for_a_while_then_dead_letter_then_redelivered(
    gateways: Make, receiver: Receiver
) -> None:
    receiver.stop()
    gateway = gateways(PENTAD_TRYON__CALLBACKS__MAX_AGE_SECONDS="1.5")
    gateway.start()
    gateway.submit("dead")
    job = gateway.until("dead", "dead_letter")
    assert [one["state"] for one in job["callbacks"]] == ["dead_letter", "dead_letter"]
    kept = httpx.get(gateway.url + job["result"], timeout=60)
    assert kept.status_code == 200  # the result is not lost
    receiver.start()
    assert httpx.post(f"{gateway.url}/jobs/dead/redeliver", timeout=60).status_code == 202
    job = gateway.until("dead", "delivered")
    assert [one.event_id for one in receiver.of(RESULT, 200)] == ["dead_asset_service"]
    assert receiver.of(RESULT)[0].at <= receiver.of(COMPLETE)[0].at


def test_retry_after_is_honoured(standing: Standing) -> None:
    gateway, receiver = standing.gateway, standing.receiver
    first: list[Any] = []

    def once(one: Received) -> tuple[int, dict[str, str]]:
        if one.path == RESULT and not first:
            first.append(one)
            return 429, {"Retry_After": "2"}
        return 200, {}

    receiver.behave = once
    gateway.submit("later")
    gateway.until("later", "delivered")
    one, two = receiver.of(RESULT)
    assert 1.9 <= two.at - one.at <= 30  # a gateway may be busy with something else, too


def test_the_load_balancer_is_told_after_three_attempts_at_the_asset_service(
    standing: Standing,
) -> None:
    gateway, receiver = standing.gateway, standing.receiver
    receiver.behave = lambda one: (503 if one.path == RESULT else 200, {})
    gateway.submit("patient")
    gateway.wait(lambda: len(receiver.of(COMPLETE)) == 1)
    assert len(receiver.of(RESULT)) >= 3
    assert sorted(receiver.of(RESULT), key=lambda one: one.at)[2].at <= receiver.of(COMPLETE)[0].at
    assert gateway.get("/jobs/patient")["state"] == "delivering"
    receiver.behave = always(200)
    gateway.until("patient", "delivered")


def test_redirects_are_not_followed(standing: Standing) -> None:
    gateway, receiver = standing.gateway, standing.receiver
    receiver.behave = lambda one: (302, {"Location": f"{receiver.base_url}/elsewhere"})
    gateway.submit("redirected")
    gateway.wait(lambda: len(receiver.of(RESULT)) >= 2)
    assert not receiver.of("/elsewhere")
    receiver.behave = always(200)
