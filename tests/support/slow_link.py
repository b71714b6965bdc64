"""A link in user space that delays frames and loses some: for kernels that lack netem.

`python -m tests.support.slow_link SECONDS SHARE READY` makes the TAP devices `near` and `far` in
its network namespace and passes frames between them, both ways, until it is ended; the file READY
appears when both are there. The kernel gives each frame whole, segmented and with its checksum.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import sys
import time
from pathlib import Path

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME = 65536


def tap(name: str) -> int:
    """Make a TAP device; it goes with the descriptor that is returned."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def relay(delay: float, loss: float, ready: Path) -> None:
    """Pass frames on for ever."""
    dice = random.Random(0)
    ends = [tap("near"), tap("far")]
    other = dict(zip(ends, reversed(ends), strict=True))
    waiting: list[tuple[float, int, int, bytes]] = []
    order = itertools.count()
    ready.touch()
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(ends, [], [], pause)[0]:
            frame = os.read(end, FRAME)
            if dice.random() >= loss:
                due = time.monotonic() + delay
                heapq.heappush(waiting, (due, next(order), other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(waiting)
            try:
                os.write(end, frame)
            except OSError:  # it is down, or its queue is full: a frame is lost
                continue


if __name__ == "__main__":
    relay(float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
