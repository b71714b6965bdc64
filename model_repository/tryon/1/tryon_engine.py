"""What every engine does."""

from __future__ import annotations

from dataclasses import dataclass

from body.pose import BodyNetworks
from PIL import Image
from tryon_progress import JobWatch
from tryon_request import JobOptions
from tryon_settings import TryonSettings


@dataclass(frozen=True)
class EngineJob:
    """One job for an engine.

    Attributes:
        person: RGB; the result has its size, floored to multiples of 16.
        garment: RGB, or RGBA with the garment cut out already.
        options: What the job asks for.
        watch: The engine calls `engine_step` after every step.
    """

    person: Image.Image
    garment: Image.Image
    options: JobOptions
    watch: JobWatch


@dataclass(frozen=True)
class EngineResult:
    """What an engine made.

    Attributes:
        picture: RGB.
        restored: Whether pixels outside the changed region are the original ones.
    """

    picture: Image.Image
    restored: bool


class TryonEngine:
    """An engine; its own are a name, a model, `load` and `generate`.

    Attributes:
        name: As in the settings.
        model: What made the picture, for the report.
        photorealistic: Whether it renders a new picture, or only moves pixels.
        unused: Options that it has no use for.
    """

    name: str
    model: str
    photorealistic = True
    unused: tuple[str, ...] = ("garment_photo_type",)

    def __init__(self, settings: TryonSettings) -> None:
        self._settings = settings
        self._networks: BodyNetworks | None = None

    def absent(self) -> str | None:
        """Return why no job can be run now, though the engine is loaded; None: it can."""
        return None

    def load(self) -> None:
        """Brings the weights to the device.

        Raises:
            PipelineError: Something is missing or unusable.
        """
        self._networks = BodyNetworks(self._settings.body_networks, self._settings.threads)

    def warm_up(self) -> None:
        """Run once, so that the first job is as fast as the others."""

    def generate(self, job: EngineJob) -> EngineResult:
        """Make the picture.

        Raises:
            TryonError: See tryon_errors.py; after any of them the next job is as if none had been.
        """
        raise NotImplementedError

    def clear_cache(self) -> None:
        """Give unused memory back."""

    def memory_bytes(self) -> int:
        """Memory of the GPU in use; 0 without one."""
        return 0

    def unload(self) -> None:
        """Lets the weights go."""
        self._networks = None
