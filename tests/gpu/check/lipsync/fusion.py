"""Fused convolutions against plain ones: which the engine takes, and what that gains."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.gpu.check.lipsync.bench import BATCHES, MIN_PSNR, ask, engine, psnr, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.gpu.check.timing import milliseconds
from tests.support.lipsync_tenants import audio, frames

PLAIN = "plain convolutions"
"""How the engine's words begin where it uses no fused ones; why not follows."""


def check(section: Section, options: Options) -> None:
    """Time both; the engine takes fused ones only where its golden frame says that they are right.

    Raises:
        AssertionError: the two give different pictures.
    """
    section.against = "plain"
    plain, pictures, how = _measured(options, fuse=False)
    section.note("plain", how)
    fused, others, how = _measured(options, fuse=True)
    section.note("fused", how)
    for batch in fused:
        section.add(f"a frame in batches of {batch}", "ms", fused[batch], plain[batch])
    agreement = psnr(pictures, others)
    section.note("PSNR of one to the other", f"{agreement:.1f} dB")
    assert agreement >= MIN_PSNR, f"{agreement:.1f} dB, at least {MIN_PSNR:g} are demanded"
    last = max(fused)
    gain = f"{plain[last] / fused[last]:.2f} times as fast in batches of {last}"
    section.headline = f"not used: {how}" if how.startswith(PLAIN) else f"{how}, {gain}"


def _measured(options: Options, fuse: bool) -> tuple[dict[int, float], np.ndarray, str]:
    """ms per frame by batch, pictures, and the engine's words for how."""
    (tenant,) = tenants(options, 1)
    batches = BATCHES[:2] if options.quick else BATCHES
    with engine(options, batches=batches if options.quick else (), fuse=fuse) as made:
        weights = made.load(tenant.blob)
        times = {batch: _per_frame(made, weights, batch, options.times) for batch in batches}
        pictures = ask(made, weights, frames(BATCHES[1]), audio())
        return times, pictures, weights.graph.how


def _per_frame(made: Any, weights: Any, batch: int, times: int) -> float:
    given = (frames(batch, channels=3) * 255).astype(np.uint8)
    return milliseconds(lambda: ask(made, weights, given, audio(), kind=np.uint8), times) / batch
