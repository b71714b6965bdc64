"""Room on the disks that the gateway writes to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


def temporary_folder() -> Path:
    """Return the folder of temporary files, usable or not."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # none can be written to
        return Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - nothing is written there


class DiskCollector(Collector):
    """Gauges of file systems.

    Args:
        folders: one on each, by the name that it has in the metrics.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def collect(self) -> Iterator[Metric]:
        """Yield the size and the free room of each."""
        family = GaugeMetricFamily(
            "pentad_disk_bytes", "Disks that the gateway writes to.", labels=["folder", "state"]
        )
        for name, folder in self._folders.items():
            try:
                info = os.statvfs(folder)
            except OSError:
                continue
            family.add_metric([name, "total"], info.f_blocks * info.f_frsize)
            family.add_metric([name, "free"], info.f_bavail * info.f_frsize)
        yield family
