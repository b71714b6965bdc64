"""A detector and an embedder out of one of InsightFace's packs, through InsightFace's own package.

The package is MIT; its packs are for non-commercial research only, which is said at every export
and stands in the answers' facts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from export import packages
from export.catalogue import INSIGHTFACE, INSIGHTFACE_LICENSE
from export.errors import ExportError
from export.face_families import CROP, FAMILIES, PixelFormat
from export.face_source import NetworkFile
from export.fetch import sha256_of
from export.progress import Progress

LOCK = Path(__file__).with_name("insightface.lock")
PROBE = Path(__file__).with_name("insightface_probe.py")
ROOT = "~/.insightface"
"""Where the package itself keeps its packs, below `models`."""
NOTICE = (
    "InsightFace's packs are for non-commercial research only, downloaded or found; any other use "
    f"needs a licence of InsightFace's ({INSIGHTFACE})."
)
DECODER = "scrfd"
# By the table of packs in the package's documentation (python-package, model zoo).
_TRAINING = {
    "antelopev2": "recognition: Glint360K",
    "buffalo_l": "recognition: WebFace600K",
    "buffalo_m": "recognition: WebFace600K",
    "buffalo_s": "recognition: WebFace600K",
    "buffalo_sc": "recognition: WebFace600K",
}


@dataclass
class Pack:
    """A pack, looked for once.

    Attributes:
        name: As InsightFace calls it, such as buffalo_l.
        root: Folder of its packs' folder `models`.
    """

    name: str
    root: str = ROOT
    _networks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def made_from(self) -> dict[str, Any]:
        """Return what the artefacts depend on, without looking for the pack."""
        return {"pack": self.name, "root": self.root, "packages": packages.identity(LOCK)}

    def network(self, task: str, cache: Path, progress: Progress) -> dict[str, Any]:
        """Return what the package says of a task's network.

        Raises:
            ExportError: The pack cannot be had, or has no such network.
        """
        if not self._networks:
            self._networks = self._look(cache, progress)
        if task not in self._networks:
            raise ExportError(f"the pack {self.name} has no network for {task}")
        return self._networks[task]

    def facts(self, file: Path) -> dict[str, Any]:
        """Return what a declaration says of one of its networks."""
        return {
            "model": f"{self.name}/{file.stem}",
            "source": f"insightface pack {self.name}, {file.name}",
            "license": INSIGHTFACE_LICENSE,
            "training": _TRAINING.get(self.name, "not stated by the package"),
            "sha256": sha256_of(file),
        }

    def _look(self, cache: Path, progress: Progress) -> dict[str, dict[str, Any]]:
        folder = packages.folder(cache, "insightface", LOCK)
        packages.install(folder, LOCK, "insightface", progress)
        sys.stderr.write(NOTICE + "\n")
        with tempfile.TemporaryDirectory() as scratch:
            answer = Path(scratch) / "answer.json"
            command = [sys.executable, str(PROBE), str(folder), self.name, self.root, str(answer)]
            with progress.busy(f"find or fetch {self.name}"):
                packages.run(command, f"InsightFace cannot provide the pack {self.name}")
            networks: dict[str, dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
        return networks


@cache
def named(name: str, root: str) -> Pack:
    """Return the same pack for the same words, so that it is looked for once."""
    return Pack(name, root)


@dataclass(frozen=True)
class PackDetector:
    """The detector of a pack; see `DetectorSource`."""

    pack: Pack
    decoder: str = DECODER

    def made_from(self) -> dict[str, Any]:
        """See DetectorSource."""
        return {**self.pack.made_from(), "decoder": self.decoder}

    def resolve(self, cache: Path, progress: Progress) -> NetworkFile:
        """See DetectorSource.

        Raises:
            ExportError: The pack cannot be had, or its detector is not read like SCRFD.
        """
        network = self.pack.network("detection", cache, progress)
        family = FAMILIES[DECODER]
        wanted = {
            "mean": family.form.mean,
            "std": family.form.std,
            "landmarks": True,
            "strides": list(family.strides),
            "anchors": family.anchors,
        }
        if other := [name for name, value in wanted.items() if network.get(name) != value]:
            raise ExportError(
                f"the detector of {self.pack.name} differs from SCRFD's in {', '.join(other)}"
            )
        file = Path(network["file"])
        return NetworkFile(file, self.pack.facts(file), family.form)


@dataclass(frozen=True)
class PackEmbedder:
    """The embedder of a pack; see `EmbedderSource`."""

    pack: Pack

    def made_from(self) -> dict[str, Any]:
        """See EmbedderSource."""
        return self.pack.made_from()

    def resolve(self, cache: Path, progress: Progress) -> NetworkFile:
        """See EmbedderSource. The package always hands RGB to its embedders.

        Raises:
            ExportError: The pack cannot be had, or its embedder takes other crops than ours.
        """
        network = self.pack.network("recognition", cache, progress)
        if network.get("size") != [CROP, CROP]:
            raise ExportError(
                f"the embedder of {self.pack.name} takes crops of {network.get('size')} pixels, "
                f"not {CROP}"
            )
        file = Path(network["file"])
        form = PixelFormat("rgb", network["mean"], network["std"])
        return NetworkFile(file, self.pack.facts(file), form)
