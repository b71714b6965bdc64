"""An engine's first run, with a drawn picture."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image
from tryon_engine import EngineJob, TryonEngine
from tryon_images import person_size
from tryon_progress import JobWatch
from tryon_request import parse_options
from tryon_settings import TryonSettings


def run_once(engine: TryonEngine, settings: TryonSettings) -> None:
    """Run the engine at the size of production, so that no job pays for the first run.

    Raises:
        TryonError: The engine does not work.
    """
    size = person_size((3, 4), settings.default_resolution, keep_aspect=True)
    rows = np.linspace(0, 255, size[1], dtype=np.uint8)
    picture = Image.fromarray(np.broadcast_to(rows[:, None, None], (*size[::-1], 3)).copy())
    options = parse_options(json.dumps({"restore": False}).encode(), settings)
    watch = JobWatch(lambda progress: None, lambda: False)
    engine.generate(EngineJob(picture, picture, options, watch))
