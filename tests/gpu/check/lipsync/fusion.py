"""Fused convolutions against plain ones: which the engine takes, and what that gains."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.gpu.check.lipsync.bench import BATCHES, MIN_PSNR, ask, engine, psnr, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.gpu.check.timing import milliseconds
from tests.support.lipsync_tenants import audio, frames


def check(section: Section, options: Options) -> None:
    """Time both; the engine takes fused ones only where its golden frame says that they are right.

    Raises:
        AssertionError: the two give different pictures.
    """
    section.against = "plain"
    plain, pictures, how, _ = _measured(options, fuse=False)
    section.note("plain", how)
    fused, others, how, notes = _measured(options, fuse=True)
    section.note("fused", how)
    section.note("why not fused", notes or "it is")
    for batch in fused:
        section.add(f"a frame in batches of {batch}", "ms", fused[batch], plain[batch])
    agreement = psnr(pictures, others)
    section.note("PSNR of one to the other", f"{agreement:.1f} dB")
    assert agreement >= MIN_PSNR, f"{agreement:.1f} dB, at least {MIN_PSNR:g} are demanded"
    last = max(fused)
    gain = plain[last] / fused[last]
    section.headline = (
        f"not used: {notes}" if notes else f"{gain:.2f} times as fast in batches of {last}: {how}"
    )


def _measured(options: Options, fuse: bool) -> tuple[dict[int, float], np.ndarray, str, str]:
    """ms per frame by batch, pictures, the engine's words for how, and for what it does not use."""
    (tenant,) = tenants(options, 1)
    batches = BATCHES[:2] if options.quick else BATCHES
    with engine(options, batches=batches, fuse=fuse) as made:
        weights = made.load(tenant.blob)
        times = {batch: _per_frame(made, weights, batch, options.times) for batch in batches}
        pictures = ask(made, weights, frames(BATCHES[1]), audio())
        return times, pictures, weights.engine, "; ".join(weights.graph.notes)


def _per_frame(made: Any, weights: Any, batch: int, times: int) -> float:
    given = (frames(batch, channels=3) * 255).astype(np.uint8)
    return milliseconds(lambda: ask(made, weights, given, audio(), kind=np.uint8), times) / batch
