"""Whether CUDA computes on a device: found out by letting it compute."""

from __future__ import annotations

import os
import warnings
from typing import Any

DRIVER_FILES = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg", "/dev/nvmap")
"""One of them is there where a driver is: on Linux, in a container, in WSL2, on a Jetson."""
NO_DRIVER = "there is no NVIDIA driver"
LONGEST_REASON = 200
"""Characters of an error that are told: torch adds advice for developers below the first line."""


def cuda_problem(index: int) -> str:
    """Why torch cannot compute on a device; empty when it can.

    Counting is not enough: NVML counts cards whose driver is too old for this CUDA, that another
    process holds exclusively, that are in an error state, or for which torch has no kernels.

    Args:
        index: Number of the device among those that CUDA_VISIBLE_DEVICES shows.
    """
    if not any(map(os.path.exists, DRIVER_FILES)):
        return NO_DRIVER
    try:
        import torch  # large, so only where there is a driver
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
        return f"torch cannot be used ({first_line(error)})"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same words that `init` raises
        available = torch.cuda.is_available()
    try:
        if not available:
            torch.cuda.init()  # says why
        if index >= (count := torch.cuda.device_count()):
            return f"torch sees {count} GPUs, asked for is number {index}"
        _compute(torch, torch.device("cuda", index))
    except (RuntimeError, AssertionError) as error:
        return first_line(error)
    return "" if available else "torch says that CUDA is not available"


def _compute(torch: Any, device: Any) -> None:
    """Run a kernel of torch's own and one of cuDNN, and wait for both."""
    ones = torch.ones((1, 8, 4, 4), dtype=torch.float16, device=device)
    total = torch.nn.functional.conv2d(ones + 1, ones).float().sum().item()
    if total != 2 * ones.numel():
        raise RuntimeError(f"a convolution of ones gave {total:g} in place of {2 * ones.numel()}")


def first_line(error: BaseException) -> str:
    """Return an error's first line, shortened; its type where it says nothing."""
    text = str(error).strip().partition("\n")[0][:LONGEST_REASON]
    return text or type(error).__name__
