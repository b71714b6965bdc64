"""One attempt of a callback over HTTP."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from gateway.jobs.addresses import ForbiddenAddressError, allowed_addresses
from gateway.jobs.messages import Message
from gateway.jobs.signature import sign
from gateway.settings.tryon_jobs import CallbackSettings


@dataclass(frozen=True)
class Target:
    """A receiver.

    Attributes:
        url: whole.
        token: sent as `X-Internal-Auth`, even when empty.
        timeout: seconds for an attempt, from the name's resolution to the answer's head.
        keys: of the signature.
    """

    url: str
    token: str
    timeout: float
    keys: Sequence[bytes]


@dataclass(frozen=True)
class Answer:
    """What came of an attempt.

    Attributes:
        status: HTTP status, None without an answer.
        retry_after: seconds that the receiver asks to wait, None when it does not.
    """

    status: int | None = None
    retry_after: float | None = None

    @property
    def received(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends messages: no redirects, no proxies from the environment, bodies of answers unread.

    Raises:
        ValueError: the file of authorities is unusable.
    """

    def __init__(self, settings: CallbackSettings) -> None:
        try:
            trusted = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError):
            raise ValueError("tryon.callbacks.ca_file is unreadable") from None
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells every URL
        self._private = settings.private_addresses
        self._client = httpx.AsyncClient(
            verify=trusted, trust_env=False, follow_redirects=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )  # fmt: skip

    async def send(self, target: Target, message: Message, event_id: str) -> Answer:
        """Make one attempt; whatever goes wrong is an answer without a status."""
        attempt = asyncio.ensure_future(self._attempt(target, message, event_id))
        try:
            await asyncio.wait({attempt}, timeout=target.timeout)
        finally:
            if not attempt.done():
                attempt.cancel()
        if not attempt.done():
            await asyncio.gather(attempt, return_exceptions=True)
            return Answer()
        try:
            return attempt.result()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ForbiddenAddressError):
            return Answer()

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def _attempt(self, target: Target, message: Message, event_id: str) -> Answer:
        url = httpx.URL(target.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await allowed_addresses(url.host, port, private=self._private)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": message.content_type,
            "User-Agent": "pentad",
            "X-Internal-Auth": target.token,
            **sign(event_id, int(time.time()), message.body, target.keys),
        }
        for number, address in enumerate(addresses, start=1):
            request = self._client.build_request(
                "POST",
                url.copy_with(host=address),
                content=message.body,
                headers=headers,
                timeout=target.timeout,
                extensions={"sni_hostname": url.host} if url.scheme == "https" else {},
            )
            try:
                response = await self._client.send(request, stream=True)
            except httpx.ConnectError:
                if number == len(addresses):
                    raise
                continue
            await response.aclose()
            return Answer(response.status_code, _retry_after(response.headers))
        raise AssertionError  # the list is never empty


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a `Retry-After` header in either form (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
