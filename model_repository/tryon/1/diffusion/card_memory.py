"""The memory of the card that a diffusion engine computes on."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tryon_errors import CardMemoryError

log = logging.getLogger("tryon")


def reserved_bytes(device: str) -> int:
    """Bytes that this process holds of its card; 0 on a CPU.

    Args:
        device: `cuda`, `cuda:N` or `cpu`.
    """
    import torch

    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        return 0
    return int(torch.cuda.memory_reserved(device))


def give_back() -> None:
    """Frees what is not used."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def watched(device: str) -> Iterator[None]:
    """Turn a card that is full into words; other errors stay what they are.

    Raises:
        CardMemoryError: The block ran out of memory.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        log.error(
            "tryon: out of memory on %s, %.1f GB are held here: lower tryon.model.memory_gb so "
            "that less is kept on the card, take a lower default_resolution, or move what else "
            "runs there",
            device, reserved_bytes(device) / 1e9,
        )  # fmt: skip
        raise CardMemoryError from None
