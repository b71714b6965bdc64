"""One attempt of a callback over HTTP, and the addresses that it may be sent to.

Destinations come from the configuration alone. What is left to guard against is a name that
resolves to something inside that was never meant: an address is chosen once per attempt, judged,
and connected to, so that a second answer of the name server changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpx

from gateway.lookups import look_up
from gateway.services.tryon.jobs.messages import Message
from gateway.services.tryon.jobs.retry import MAX_RETRY_AFTER
from gateway.services.tryon.jobs.signature import sign
from gateway.settings.tryon_jobs import CallbackSettings
from gateway.telemetry.log import where

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAX_ADDRESSES = 8
"""That are tried in one attempt, whatever number a name server returns."""
NEVER: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        # Metadata services that are not link-local: of Azure, Oracle (with what else the IETF has
        # assigned), Alibaba, AWS (with its other services for instances), Google.
        "168.63.129.16/32",
        "192.0.0.0/24",
        "100.100.100.200/32",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fec0::/10",  # site-local (RFC 3879: withdrawn)
        "2001::/32",  # Teredo: whose relay sends it where, nobody knows
    )
)
SHARED = ip_network("100.64.0.0/10")  # RFC 6598: inside a provider's or a cloud's network
NAT64 = tuple(ip_network(prefix) for prefix in ("64:ff9b::/96", "64:ff9b:1::/48"))  # RFC 6052, 8215
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214: before the IPv4 address, in any prefix
log = logging.getLogger(__name__)


class ForbiddenAddressError(Exception):
    """The receiver's name stands for no address that may be called."""


async def allowed_addresses(host: str, port: int, *, private: bool) -> list[str]:
    """Resolve a name and return the addresses that may be connected to, in the resolver's order.

    Args:
        host: name or address.
        port: of the receiver.
        private: whether private and loopback addresses may be.

    Raises:
        ForbiddenAddressError: there is none.
        OSError: the name cannot be resolved.
        ValueError: it is no name.
    """
    addresses = await look_up(host, port)
    good = [address for address in addresses if is_allowed(ip_address(address), private=private)]
    if not good:
        raise ForbiddenAddressError
    return good[:MAX_ADDRESSES]


def is_allowed(address: Address, *, private: bool) -> bool:
    """Whether an address may be called, and any IPv4 address that is reached through it."""
    if any(address in network for network in NEVER):
        return False
    if isinstance(address, IPv6Address):
        inner = list(_embedded(address))
        if not all(is_allowed(address, private=private) for address in inner):
            return False
        if inner and not _isatap(address):  # it stands for nothing else
            return True
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_loopback:  # of IPv6, it is among the reserved ones
        return private
    if address.is_reserved:
        return False
    return private if address.is_private or address in SHARED else address.is_global


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address carries."""
    if wrapped := address.ipv4_mapped or address.sixtofour:
        yield wrapped
    if any(address in network for network in NAT64) or _isatap(address):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)


def _isatap(address: IPv6Address) -> bool:
    return int(address) >> 32 & 0xFFFF_FFFF in ISATAP


EXPECTED = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ForbiddenAddressError)
"""What receivers, name servers and networks can do to an attempt."""


@dataclass(frozen=True)
class Target:
    """A receiver.

    Attributes:
        url: whole.
        token: sent as `X-Internal-Auth`, even when empty.
        timeout: seconds for an attempt, from the name's resolution to the answer's head.
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
        retry_after: seconds that the receiver asks to wait, up to MAX_RETRY_AFTER; None when it
            does not.
    """

    status: int | None = None
    retry_after: float | None = None

    @property
    def received(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


class WebhookClient:
    """Sends messages.

    Redirects are not followed, proxies of the environment not used, cookies not kept, bodies of
    answers not read.

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
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
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
        except EXPECTED:
            return Answer()
        except Exception as error:  # nothing that a receiver does may go uncounted
            log.error("attempt of a callback broke", extra=where(error))
            return Answer()

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def _attempt(self, target: Target, message: Message, event_id: str) -> Answer:
        url = httpx.URL(target.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode("ascii")  # of an international name, what name servers know
        addresses = await allowed_addresses(host, port, private=self._private)
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
                extensions={"sni_hostname": host} if url.scheme == "https" else {},
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
    """Return the seconds of a `Retry-After` header in either form (RFC 9110, 10.2.3).

    A date counts from the receiver's own, where it says one. What is neither form is not there.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]+", value):
        return min(float(value), MAX_RETRY_AFTER)  # a float has no limit of digits: inf
    moment = _timestamp(value)
    if moment is None:
        return None
    now = _timestamp(headers.get("date", ""))
    return min(max(0.0, moment - (time.time() if now is None else now)), MAX_RETRY_AFTER)


def _timestamp(date: str) -> float | None:
    """Return the seconds since the epoch of an HTTP date, None where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None
