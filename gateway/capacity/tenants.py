"""What a lip-sync tenant takes: by the files of those that are configured, else the documented."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.capacity.facts import TENANT_ON_CPU, TENANT_ON_GPU
from gateway.services.lipsync.tenants.catalogue import SUFFIX, configured
from gateway.settings import Settings

OVERHEAD = TENANT_ON_CPU - 2 * TENANT_ON_GPU
"""Bytes of a tenant on a CPU beside its weights in FP32, which are twice those in FP16."""


@dataclass(frozen=True)
class Tenants:
    """The tenants of a configuration.

    Attributes:
        on_gpu: mean bytes of one on a GPU.
        on_cpu: mean bytes of one on a CPU.
        kept: how many are never evicted.
    """

    on_gpu: int
    on_cpu: int
    kept: int


def tenants_of(settings: Settings) -> Tenants:
    """Return what the configured tenants and those of the watched folder take.

    A file holds weights in FP32. The demo's tenants count as documented ones.

    Raises:
        ValueError: a path leaves ``lipsync.models_root``.
    """
    lipsync = settings.lipsync
    entries = configured(lipsync.models, lipsync.models_root)
    files = [entry.file for entry in entries]
    if lipsync.watch_folder is not None and lipsync.watch_folder.is_dir():
        files += lipsync.watch_folder.glob(f"*{SUFFIX}")
    sizes = [size for file in files if (size := _size(file))]
    kept = sum(entry.pinned for entry in entries)
    if not sizes:
        return Tenants(TENANT_ON_GPU, TENANT_ON_CPU, kept)
    mean = sum(sizes) // len(sizes)
    return Tenants(max(1, mean // 2), mean + OVERHEAD, kept)


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that is not here."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
