"""Free memory: kept for the next large body, then returned. In a process of its own."""

from __future__ import annotations

import subprocess
import sys

# Blocks in use lie between the free ones, as in a server: only a trim of the holes helps.
PROGRAM = """
import resource, sys
from gateway import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

memory.keep_large_buffers()
kept = []
def burst():
    bodies = []
    for _ in range(4):
        bodies.append(b"x" * (60 << 20))
        kept.append(b"y" * 100_000)
before = resident()
burst()
after = resident()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
burst()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
memory.return_free_memory()
print(after - before, faults, resident() - before)
"""


def test_large_bodies_reuse_memory_until_it_is_returned() -> None:
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    ).stdout
    after, faults, returned = (float(word) for word in output.split())
    assert after > 200  # MiB, free but kept
    assert faults < 4 * 60 * 256 / 2  # pages; four new mappings would touch them all
    assert returned < 20
