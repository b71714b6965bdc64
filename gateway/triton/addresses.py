"""The servers that `triton.url` names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

DNS = "dns:///"


async def resolve(urls: Sequence[str]) -> list[str]:
    """Return host:port of every server, in a stable order.

    Args:
        urls: host:port, or ``dns:///name:port`` for all addresses of a name, such as Kubernetes'
            headless services have. A name that cannot be looked up now gives none.
    """
    found: list[str] = []
    for url in urls:
        found += await _addresses(url) if url.startswith(DNS) else [url]
    return list(dict.fromkeys(found))


async def _addresses(url: str) -> list[str]:
    host, _, port = url.removeprefix(DNS).rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        entries = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    hosts = sorted({str(entry[4][0]) for entry in entries})
    return [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in hosts]
