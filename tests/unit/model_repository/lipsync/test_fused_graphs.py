"""The GPU engine uses fused convolutions where the golden frame says that they are right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from engines.gpu import GpuEngine
from tenants.blob import OpenBlob
from tenants.golden import psnr
from torch.nn import functional

from tests.support.half_tenants import MASK, run
from tests.support.lipsync_tenants import Plain, audio, frames

SMALL = (1, 2)


@pytest.fixture
def cudnn() -> Iterator[dict[str, Any]]:
    """cuDNN's operators on the CPU; `spoil` makes them read what they write to, `wrong` wrong."""
    behaviour = {"calls": 0, "wrong": False, "spoil": False}
    library = torch.library.Library("aten", "IMPL")
    before: dict[tuple[int, ...], torch.Tensor] = {}

    def relu(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:  # fmt: skip  # noqa: E501
        behaviour["calls"] += 1
        made = functional.conv2d(
            x, weight, None if behaviour["wrong"] else bias, stride, padding, dilation, groups
        ).relu()
        if behaviour["spoil"]:
            made = made + 0 * before.get(tuple(made.shape), torch.zeros(1))
            before[tuple(made.shape)] = made
        return made

    library.impl("cudnn_convolution_relu", relu, "CPU")
    yield behaviour
    library._destroy()


def test_fused_convolutions_are_used_where_they_are_right(
    cudnn: dict[str, Any], others: list[tuple[OpenBlob, Plain]]
) -> None:
    blob, plain = others[0]
    engine = GpuEngine("cpu", 1, MASK, batches=SMALL)
    weights = engine.load(blob)
    assert weights.engine.endswith(", 32 fused convolutions")
    before = cudnn["calls"]
    assert psnr(plain(frames(2), audio()), run(engine, weights, 2)) >= 50
    assert cudnn["calls"] - before == 32
    assert (
        GpuEngine("cpu", 1, MASK, batches=(1,), fuse=False)
        .load(blob)
        .engine.endswith(", plain convolutions")
    )


@pytest.mark.parametrize("fault", ["wrong", "spoil"])
def test_fused_convolutions_that_change_the_picture_are_not_used(
    fault: str, cudnn: dict[str, Any], others: list[tuple[OpenBlob, Plain]]
) -> None:
    cudnn[fault] = True
    blob, plain = others[0]
    engine = GpuEngine("cpu", 1, MASK, batches=SMALL)
    weights = engine.load(blob)
    assert ", plain convolutions (32 fused convolutions: a test frame keeps" in weights.engine
    assert psnr(plain(frames(2), audio()), run(engine, weights, 2)) >= 50


def test_fused_convolutions_that_are_not_there_are_done_without(half_blob: OpenBlob) -> None:
    weights = GpuEngine("cpu", 1, MASK, batches=(1,)).load(half_blob)
    told = ", plain convolutions (32 fused convolutions: torch does not run it (Could not run"
    assert told in weights.engine
