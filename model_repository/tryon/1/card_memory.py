"""The memory of the card that a diffusion engine computes on."""

from __future__ import annotations

import gc
import logging

from tryon_errors import CardMemoryError, PipelineError

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


def failure(what: str, error: Exception, device: str) -> PipelineError:
    """The error to raise for one of an engine's library; its text stays in this process.

    Args:
        what: That failed, such as "the pipeline".
        error: Of the library.
        device: As in the settings.
    """
    import torch

    if not isinstance(error, torch.OutOfMemoryError):
        return PipelineError(f"{what} failed with {type(error).__name__}")
    log.error(
        "tryon: out of memory on %s, %.1f GB are held here: lower tryon.model.memory_gb so that "
        "less is kept on the card, take a lower default_resolution, or move what else runs there",
        device, reserved_bytes(device) / 1e9,
    )  # fmt: skip
    return CardMemoryError()
