"""Receivers that answer oddly, endlessly or not at all: every attempt ends, and counts."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.tryon.jobs.messages import Message
from gateway.services.tryon.jobs.retry import MAX_RETRY_AFTER
from gateway.services.tryon.jobs.webhook import Answer, Target, WebhookClient, _retry_after
from gateway.settings.tryon_jobs import CallbackSettings
from tests.support.rude_receiver import Answer as Rude
from tests.support.rude_receiver import endless, raw, rude_receiver

MESSAGE = Message(b"{}", "application/json")
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"
NOT_A_DELAY = [
    "²", "٣", "１２", "-1", "+5", "1e9", "1.5", "5, 6", "", " ", "0x10", "nan", "inf", "1_000",
    "soon", "Thu, 99 Foo 2026 00:00:00 GMT", "Thu, 01 Jan 99999999 00:00:00 GMT", ";" * 9000,
    "31 Feb 2026 25:61:61", "12 12",
]  # fmt: skip


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    found = WebhookClient(CallbackSettings())
    yield found
    await found.close()


async def attempt(client: WebhookClient, url: str, timeout: float = 20.0) -> Answer:
    return await client.send(Target(url, "token", timeout, [b"key"]), MESSAGE, "event")


@pytest.mark.parametrize("value", NOT_A_DELAY)
async def test_what_is_no_delay_is_ignored(client: WebhookClient, value: str) -> None:
    head = BUSY + b"Retry-After: " + value.encode() + b"\r\n\r\n"
    with rude_receiver(raw(head)) as url:
        assert await attempt(client, url) in (Answer(503), Answer())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("7", 7.0), ("007", 7.0), (" 7 ", 7.0), ("3600", 3600.0),
        ("86400", MAX_RETRY_AFTER), ("9" * 5000, MAX_RETRY_AFTER),
    ],
)  # fmt: skip
async def test_delays(client: WebhookClient, value: str, seconds: float) -> None:
    head = BUSY + b"Retry-After: " + value.encode() + b"\r\n\r\n"
    with rude_receiver(raw(head)) as url:
        assert await attempt(client, url) == Answer(503, seconds)


def test_a_date_counts_from_the_receiver_s_own() -> None:
    theirs = 1_000_000_000.0  # years ago
    headers = {"date": formatdate(theirs, usegmt=True)}
    for wanted, seconds in ((30, 30.0), (-30, 0.0), (10**6, MAX_RETRY_AFTER)):
        value = formatdate(theirs + wanted, usegmt=True)
        assert _retry_after({**headers, "retry-after": value}) == seconds
    without = _retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert without == pytest.approx(60, abs=30)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_header_is_a_bounded_delay_or_none(value: str, date: str) -> None:
    found = _retry_after({"retry-after": value, "date": date})
    assert found is None or 0 <= found <= MAX_RETRY_AFTER


ENDLESS: dict[str, Rude] = {
    "silence": endless(b"", b"", 0.1),
    "drip": endless(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.05),
    "head": endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"y" * 1000 + b"\r\n"),
    "line": endless(b"HTTP/1.1 200 ", b"y" * 65_536),
    "continue": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_endless_heads_end(client: WebhookClient, name: str) -> None:
    with rude_receiver(ENDLESS[name]) as url:
        begin = time.monotonic()
        assert await attempt(client, url, 1.0) == Answer()
        assert time.monotonic() - begin < 20


HEADS: dict[str, tuple[Rude, int]] = {
    "endless body": (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 65_536), 200),
    "endless chunks": (
        endless(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n"), 500,
    ),
    "gzip bomb": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(10**8))),
        200,
    ),
    "not gzip": (raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip"), 200),
    "cut": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nyy"), 200),
    "early hints": (raw(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 None\r\n\r\n"), 204),
    "redirect": (raw(b"HTTP/1.1 307 There\r\nLocation: http://[\r\n\r\n"), 307),
    "charset": (raw(b"HTTP/1.1 200 OK\r\nContent-Type: a; charset=\xff\xfe\r\n\r\n"), 200),
    "cookies": (
        raw(b"HTTP/1.1 200 OK\r\n" + b"Set-Cookie: a=b; Expires=x\r\n" * 900 + b"\r\n"), 200,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
async def test_the_head_alone_counts(client: WebhookClient, name: str) -> None:
    answer, status = HEADS[name]
    with rude_receiver(answer) as url:
        assert await attempt(client, url) == Answer(status)
        assert await attempt(client, url) == Answer(status)
    assert not list(client._client.cookies.jar)


BROKEN = [
    b"", b"\r\n\r\n", b"\x00" * 100, b"HTTP/x 200 OK\r\n\r\n", b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
    b"HTTP/1.1 99999 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x28",
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN)
async def test_what_is_no_http_is_no_answer(client: WebhookClient, data: bytes) -> None:
    with rude_receiver(raw(data)) as url:
        assert (await attempt(client, url)).received is False
        assert await attempt(client, url.replace("http:", "https:")) == Answer()


@pytest.mark.parametrize(
    "host",
    [
        "a\x00b.test", "xn--\x00", "\udcff", "a" * 300 + ".test", "..", "", "[::1",
        "999.999.999.999", "ex ample.test", "ﬀ.test", "١٢٧.٠.٠.١",
    ],
)  # fmt: skip
async def test_impossible_names_are_no_answer(client: WebhookClient, host: str) -> None:
    assert await attempt(client, f"http://{host}:1/") == Answer()
