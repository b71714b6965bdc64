"""Looks names up in threads of their own.

A name server that is silent keeps a thread for half a minute, whoever waits no longer. In the
loop's own threads a few such lookups would stop everything else that runs there.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

_THREADS = ThreadPoolExecutor(16, "lookups")


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name in the resolver's order, each once.

    Raises:
        OSError: it cannot be resolved.
        ValueError: it is no name.
    """
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    entries = await asyncio.get_running_loop().run_in_executor(_THREADS, ask)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
