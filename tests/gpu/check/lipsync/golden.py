"""Frames of every batch and type against ONNX Runtime on the CPU, in full precision."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tests.gpu.check.lipsync.bench import BATCHES, MIN_PSNR, Tenant, ask, engine, psnr, tenants
from tests.gpu.check.options import Options
from tests.gpu.check.section import Section
from tests.support.lipsync_tenants import audio, frames, with_masked

COUNTS = (1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 17, 20, BATCHES[-1])
"""Full batches, and such that run in a larger one."""
QUICK_COUNTS = (1, 3, BATCHES[-1])
COMPARED = 2
"""Frames of a batch, its last ones: a CPU core takes a tenth of a second for one."""
TYPES = {"FP32": np.float32, "FP16": np.float16, "UINT8": np.uint8}


def check(section: Section, options: Options) -> None:
    """Note the lowest agreement of each type, in decibels.

    Raises:
        AssertionError: a frame is further from ONNX Runtime than an import may be.
    """
    lowest: dict[str, float] = {}
    with engine(options) as made:
        section.note("engine", made.name)
        section.note("width", options.width)
        for number, tenant in enumerate(tenants(options)):
            weights = made.load(tenant.blob)
            for name, channels, count in cases(number, options.quick):
                kind = TYPES[name]
                given, sound = _frames(count, channels, kind), audio(count, seed=number)
                got = ask(made, weights, given, sound, kind=kind)
                agreement = _agreement(tenant, given, sound, got)
                case = f"{name}, {channels} channels"
                lowest[case] = min(lowest.get(case, math.inf), agreement)
                section.note(f"PSNR, {case}", f"{lowest[case]:.1f} dB")
                assert agreement >= MIN_PSNR, (
                    f"tenant {number}, {count} frames, {case}: {agreement:.1f} dB, "
                    f"at least {MIN_PSNR:g} are demanded"
                )
            made.free(weights)
    section.headline = f"every frame within {min(lowest.values()):.1f} dB PSNR of ONNX Runtime"


def cases(tenant: int, quick: bool) -> Iterator[tuple[str, int, int]]:
    """Type, channels and frames of each call: all counts for the first tenant."""
    for name in TYPES:
        for channels in (6, 3):
            few = quick and (name, channels) != ("FP32", 6)
            counts = COUNTS if tenant == 0 else COUNTS[-1:]
            for count in (3,) if few else QUICK_COUNTS if quick else counts:
                yield name, channels, count


def _frames(count: int, channels: int, kind: type) -> np.ndarray:
    """Pictures of this type; bytes are from 0 to 255."""
    given = frames(count, channels=channels)
    return (given * 255).round().astype(kind) if kind is np.uint8 else given.astype(kind)


def _agreement(tenant: Tenant, given: np.ndarray, sound: np.ndarray, got: np.ndarray) -> float:
    """PSNR of the last frames."""
    last = slice(-COMPARED, None)
    scale = np.float32(255 if given.dtype == np.uint8 else 1)
    network = given[last].astype(np.float32) / scale
    if network.shape[1] == 3:
        network = with_masked(network)
    return psnr(tenant.plain(network, sound[last]), got[last].astype(np.float32) / scale)
