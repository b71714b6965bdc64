"""What a call costs in a process of its own: CPU seconds and memory, within a hard limit."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What a call took.

    Attributes:
        answer: What it returned, or the words of what it raised.
        seconds: CPU of its process.
        grown: Bytes by which the most memory of its process exceeds what it had before.
    """

    answer: Any
    seconds: float
    grown: int


def measured(call: Callable[[], Any], *, memory: int = 3 << 30, seconds: int = 60) -> Cost:
    """Run a call in a forked process.

    Args:
        call: Returns something small.
        memory: Bytes of address space on top of what the process has.
        seconds: CPU after which it is killed.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(call, there, memory, seconds)
    )
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        raise AssertionError("killed: it took too much time or memory") from None
    finally:
        process.join()


def _run(call: Callable[[], Any], pipe: Connection, memory: int, seconds: int) -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resident, begin = _peak(reset=True), time.process_time()
    try:
        answer: Any = call()
    except Exception as error:
        answer = str(error)
    pipe.send(Cost(answer, time.process_time() - begin, _peak() - resident))


def _peak(*, reset: bool = False) -> int:
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmHWM"].split()[0]) * 1024
