"""The figures of the page about GPUs are those of the engine."""

from __future__ import annotations

from pathlib import Path

from engines.gpu import HOST_BYTES
from engines.gpu_graph import THOROUGH_SECONDS
from engines.gpu_slots import BATCHES
from memory.torch_device import EXIT_STATUS, KEPT_FREE, CudaDevice
from tenants.golden import MIN_PSNR

PAGE = Path(__file__).resolve().parents[4] / "docs" / "operations" / "gpu.md"


def test_lipsync_on_a_card() -> None:
    page = PAGE.read_text()
    assert f"({', '.join(map(str, BATCHES))})" in page
    assert f"for {THOROUGH_SECONDS:g} s at most" in page
    assert f"finite, {MIN_PSNR:g} dB" in page
    assert (
        f"less {CudaDevice.slot_bytes / 1e9:g} GB a worker and {KEPT_FREE:.0%}".replace("%", " %")
        in page
    )
    assert f"({HOST_BYTES / 2**30:g} GiB" in page
    assert f"ends with status {EXIT_STATUS}" in page
