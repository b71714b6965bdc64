"""What receivers answer, and what they can check."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.support.callback_receiver import COMPLETE, RESULT, Receiver, always
from tests.support.rude_receiver import raw, rude_receiver
from tests.support.tiny_pictures import png
from tests.support.tryon_gateway import tryon_gateway

JOBS = {"queue_size": 5, "poll_seconds": 0.05}


@pytest.mark.parametrize("value", ["²", "1e999", "-5", "①", "Thu, 01 Jan 99999 00:00:00 GMT"])
async def test_every_attempt_counts_whatever_the_receiver_asks(tmp_path: Path, value: str) -> None:
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: " + value.encode() + b"\r\n\r\n"
    with rude_receiver(raw(head)) as url:
        tryon: dict[str, Any] = {
            "asset_service": {"callback_url": url, "retry_backoff": [0.05]},
            "callbacks": {"max_delay_seconds": 0.1, "max_age_seconds": 3}, "jobs": JOBS,
        }  # fmt: skip
        async with tryon_gateway(tmp_path, tryon=tryon) as g:
            await g.submit("tried")
            (asset, _) = (await g.until("tried", "dead_letter"))["callbacks"]
            assert asset["attempts"] >= 3
            assert asset["last_status"] == 503


async def test_a_result_that_cannot_be_read_is_not_tried_for_ever(tmp_path: Path) -> None:
    receiver = Receiver(behave=always(500))
    tryon: dict[str, Any] = {
        "asset_service": {"callback_url": receiver.result_url, "retry_backoff": [0.1]},
        "callbacks": {"max_delay_seconds": 0.1, "max_age_seconds": 2}, "jobs": JOBS,
    }  # fmt: skip
    try:
        async with tryon_gateway(tmp_path, tryon=tryon) as g:
            await g.submit("lost")
            await g.until("lost", "delivering")
            (result,) = (tmp_path / "tryon" / "files").glob("*/result-1")
            result.unlink()
            result.mkdir()  # the disk fails
            (asset, _) = (await g.until("lost", "dead_letter"))["callbacks"]
            assert asset["attempts"] >= 2
    finally:
        receiver.stop()


async def test_results_as_json_are_checked_by_the_specification_s_library(tmp_path: Path) -> None:
    receiver = Receiver()
    secret = "whsec_" + base64.b64encode(b"a secret of 32 bytes, or thereby").decode()
    tryon: dict[str, Any] = {
        "asset_service": {
            "callback_url": receiver.result_url, "format": "json", "webhook_secrets": [secret],
        },
        "load_balancer": {"url": receiver.base_url, "webhook_secrets": [secret]},
        "jobs": JOBS,
    }  # fmt: skip
    try:
        async with tryon_gateway(tmp_path, tryon=tryon) as g:
            await g.submit("told", user_id='Zoë "x" 漢')
            await g.until("told", "delivered")
            picture = (await g.own.get("/jobs/told/result")).content
    finally:
        receiver.stop()
    (one,) = receiver.of(RESULT)
    assert one.headers["content-type"] == "application/json"
    event = Webhook(secret).verify(one.body, one.headers)
    assert event["type"] == "tryon.completed"
    assert event["data"]["user_id"] == 'Zoë "x" 漢'
    assert base64.b64decode(event["data"]["output_image"]) == picture
    assert picture.startswith(png()[:8])
    (notice,) = receiver.of(COMPLETE)  # was JSON ever since
    assert Webhook(secret).verify(notice.body, notice.headers)["job_id"] == "told"
