"""Memory of a tenant and of a worker on the device, and the time of a load."""

from __future__ import annotations

import os
from pathlib import Path

from tests.gpu.check.lipsync.bench import BATCHES, ask, engine, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.gpu.check.timing import milliseconds
from tests.support.lipsync_tenants import audio, frames

TENANTS = 4
MB = 1e6


def check(section: Section, options: Options) -> None:
    """Note what the device's own figures grow by; on a CPU the process's resident memory."""
    found = tenants(options, TENANTS)
    section.against = "the engine's own figure"
    before = used(options)
    with engine(options) as made:
        first = made.load(found[0].blob)
        for batch in BATCHES:
            ask(made, first, frames(batch), audio())
        whole = used(options)
        section.add("engine, one worker, one tenant", "MB", (whole - before) / MB)
        more = [made.load(tenant.blob) for tenant in found[1:]]
        each = (used(options) - whole) / MB / len(more)
        section.add("another tenant", "MB", each, first.memory_bytes / MB)
        loads = milliseconds(
            lambda: made.free(made.load(found[0].blob)), max(3, options.times // 4)
        )
        section.add("load of an imported tenant", "ms", loads)
    section.headline = f"{each:.1f} MB a tenant, loaded in {loads:.3g} ms"


def used(options: Options) -> int:
    """Bytes in use on the whole device, or of this process on a CPU."""
    if options.cuda:
        import torch

        torch.cuda.synchronize(options.device)
        free, total = torch.cuda.mem_get_info(options.device)
        return int(total - free)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
