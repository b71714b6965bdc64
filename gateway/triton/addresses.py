"""The servers that `triton.url` names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.lookups import look_up

DNS = "dns:///"
LOOKUP_SECONDS = 5.0  # a name server that is silent must not hold up the looks at the servers


async def resolve(urls: Sequence[str]) -> tuple[list[str], bool]:
    """Return host:port of every server, in a stable order, and whether every name was found.

    Args:
        urls: host:port, or ``dns:///name:port`` for all addresses of a name, such as Kubernetes'
            headless services have. A name that cannot be looked up now gives none.
    """
    resolved = await asyncio.gather(*map(_addresses, urls))
    addresses = [address for some in resolved for address in some]
    return list(dict.fromkeys(addresses)), all(resolved)


async def _addresses(url: str) -> list[str]:
    if not url.startswith(DNS):
        return [url]
    host, _, port = url.removeprefix(DNS).rpartition(":")
    try:
        hosts = await asyncio.wait_for(look_up(host.strip("[]"), int(port)), LOOKUP_SECONDS)
    except (OSError, UnicodeError, asyncio.TimeoutError):
        return []
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in sorted(hosts)]
