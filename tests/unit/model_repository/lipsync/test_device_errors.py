"""The GPU engine where there is too little memory, or nothing runs on the device any more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from engines.gpu import GpuEngine
from lipsync_errors import UnsuitableTenantError
from memory import torch_device
from memory.torch_device import EXIT_STATUS, CpuDevice
from tenants.blob import OpenBlob
from tenants.golden import psnr

from tests.support.half_tenants import MASK, half, run
from tests.support.lazy_device import LazyDevice
from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant

FOLDER = Path(torch_device.__file__).parents[1]


class Tight(LazyDevice):
    """Has no memory for some of the slots."""

    slots_without = 0

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if len(shape) == 1 and dtype == torch.float32 and self.slots_without:
            self.slots_without -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().empty(shape, dtype)


def test_slots_that_find_no_memory_make_tenants_leave_and_are_tried_once_more(
    others: list[tuple[OpenBlob, Plain]], tmp_path: Path
) -> None:
    device = Tight()
    engine = GpuEngine(device, 1, MASK, batches=(1,), fuse=False)
    loaded = [engine.load(blob) for blob, _ in others]
    wider = half(write_tenant(tmp_path, "wider", 1, width=0.25), tmp_path / "import")
    device.slots_without = 1
    engine.load(wider)
    assert "host" in {engine.tiers.where(weights.tiered) for weights in loaded}
    third = half(write_tenant(tmp_path, "third", 1, width=0.0625), tmp_path / "third")
    device.slots_without = 2
    with pytest.raises(UnsuitableTenantError, match="no memory for its slots"):
        engine.load(third)
    for weights, (_, plain) in zip(loaded, others, strict=True):
        assert psnr(plain(frames(1), audio()), run(engine, weights, 1)) >= 50


@pytest.mark.parametrize("alive", [True, False])
def test_an_error_after_which_nothing_runs_is_reported_and_others_are_not(
    alive: bool, half_blob: OpenBlob
) -> None:
    lost: list[BaseException] = []
    device = CpuDevice()
    engine = GpuEngine(device, 1, MASK, batches=(1,), lost=lost.append)
    weights = engine.load(half_blob)
    slot = weights.graph.slots[0]
    device.is_alive = lambda: alive  # type: ignore[method-assign]
    full = torch.AcceleratorError("CUDA error: out of memory")
    full.error_code = 2  # not by torch's allocator
    for error, ends in (
        (ValueError("a bad array"), False),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (full, False),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
    ):
        lost.clear()

        def fail(error: Exception = error) -> None:
            raise error

        slot._replays[1].compute = fail
        with pytest.raises(type(error)):
            run(engine, weights, 1)
        assert lost == ([error] if ends and not alive else [])


def test_a_context_that_is_lost_while_a_tenant_is_loaded_is_no_reason_against_the_tenant(
    half_blob: OpenBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[BaseException] = []
    device = CpuDevice()
    device.is_alive = lambda: False  # type: ignore[method-assign]
    error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(device, "capture", fail)
    engine = GpuEngine(device, 1, MASK, batches=(1,), fuse=False, lost=lost.append)
    with pytest.raises(torch.AcceleratorError):
        engine.load(half_blob)
    assert lost == [error]
    device.is_alive = lambda: True  # type: ignore[method-assign]
    with pytest.raises(UnsuitableTenantError, match=r"torch does not run it \(CUDA error"):
        engine.load(half_blob)


def test_a_lost_context_ends_the_process_so_that_triton_makes_another() -> None:
    script = (
        "import torch\nfrom memory import torch_device\n"
        "torch_device.end_process(torch.AcceleratorError('CUDA error: bad\\nand more'))\n"
        "print('still here')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT_STATUS
    assert ended.stdout == ""
    assert "the CUDA context is lost, the process ends: CUDA error: bad\n" in ended.stderr


@pytest.mark.parametrize(
    ("free", "total", "budget", "room", "expected"),
    [
        (140e9, 150e9, 0, 0, 140e9 - 7.5e9 - 4 * 2e9),
        (140e9, 150e9, 0, 20e9, 20e9 - 4 * 2e9),  # others, not there yet, will want the rest
        (140e9, 150e9, 0, 200e9, 140e9 - 7.5e9 - 4 * 2e9),
        (140e9, 150e9, 50e9, 20e9, 50e9),
        (24e9, 24e9, 0, 0, 24e9 - 1.2e9 - 4 * 2e9),
        (24e9, 24e9, 5e9, 0, 5e9),
        (6e9, 16e9, 0, 0, 0),
    ],
)
def test_weights_get_what_is_free_beside_the_slots_or_what_they_are_given(
    free: float, total: float, budget: float, room: float, expected: float
) -> None:
    class Card(CpuDevice):
        slot_bytes = 2 * 10**9

        def memory(self) -> tuple[int, int]:
            return int(free), int(total)

    engine = GpuEngine(Card(), 4, MASK, int(budget), room=int(room), batches=(1,))
    assert engine.tiers._lru.capacity == int(expected)
    assert engine._capacity(2) == int(budget or max(0, expected - 4 * 2e9))
