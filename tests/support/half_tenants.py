"""Tenants as a GPU engine has them, whatever device it is on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from frames.pixels import Mask
from tenants.blob import OpenBlob
from tenants.importing import import_tenant
from tenants.layout import HALF

from tests.support.lipsync_tenants import audio, frames

MASK = Mask(5, 5, 310, 305)


def half(file: Path, folder: Path) -> OpenBlob:
    """The import of a tenant's file in half precision."""
    return OpenBlob(folder, import_tenant(file, folder, HALF))


def run(engine: Any, weights: Any, count: int, kind: Any = np.float32, **more: Any) -> Any:
    """The mouths of that many frames; `worker` and `given` frames may be said."""
    mouths = np.empty((count, 3, 320, 320), kind)
    given = more.pop("given", frames(count))
    engine.run(more.pop("worker", 0), weights, given, audio(), mouths)
    return mouths
