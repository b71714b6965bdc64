"""Exports the two face networks, each a Triton model of its own with a declaration beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from export import artefacts
from export.face_families import CROP, DIMENSIONS, FAMILIES, MULTIPLE
from export.face_source import DetectorSource, EmbedderSource
from export.insightface_pack import PackDetector, PackEmbedder
from export.progress import Progress

DETECTOR = "face_detector"
EMBEDDER = "face_embedder"
GRAPH = "model.onnx"


@dataclass(frozen=True)
class DetectorExport:
    """A face detector."""

    source: DetectorSource | PackDetector
    repository: Path
    cache: Path

    def is_current(self) -> bool:
        """See Export."""
        folder = artefacts.version_folder(self.repository, DETECTOR)
        return artefacts.up_to_date(folder, self.source.made_from())

    def make(self, progress: Progress) -> None:
        """See Export."""
        # onnx takes a second to import: only when there is something to make.
        from export.face_graphs import write_detector
        from export.flush import KEY, tell

        network = self.source.resolve(self.cache, progress)
        decoder = self.source.decoder
        family = FAMILIES[decoder]
        folder = artefacts.version_folder(self.repository, DETECTOR)
        with (
            progress.busy(f"export {DETECTOR} ({network.facts['model']})"),
            artefacts.publish(folder, self.source.made_from()) as scratch,
        ):
            difference, flushed = write_detector(network.file, decoder, scratch / GRAPH)
            facts = {
                **network.facts,
                "decoder": decoder,
                "strides": family.strides,
                "anchors": family.anchors,
                "multiple": MULTIPLE,
                "score_threshold": family.score_threshold,
                "nms_iou": family.nms_iou,
                **asdict(network.form),
                "parity_max_difference": difference,
                KEY: flushed,
            }
            artefacts.write_json(scratch / "detector.json", facts)
        tell(progress, DETECTOR, flushed)


@dataclass(frozen=True)
class EmbedderExport:
    """A face embedder; attributes as in `DetectorExport`."""

    source: EmbedderSource | PackEmbedder
    repository: Path
    cache: Path

    def is_current(self) -> bool:
        """See Export."""
        folder = artefacts.version_folder(self.repository, EMBEDDER)
        return artefacts.up_to_date(folder, self.source.made_from())

    def make(self, progress: Progress) -> None:
        """See Export."""
        from export.face_graphs import write_embedder
        from export.flush import KEY, tell

        network = self.source.resolve(self.cache, progress)
        form = network.form
        folder = artefacts.version_folder(self.repository, EMBEDDER)
        with (
            progress.busy(f"export {EMBEDDER} ({network.facts['model']})"),
            artefacts.publish(folder, self.source.made_from()) as scratch,
        ):
            difference, flushed = write_embedder(network.file, form, scratch / GRAPH)
            facts = {
                **network.facts,
                "dimensions": DIMENSIONS,
                "input_size": CROP,
                **asdict(form),
                "parity_max_difference": difference,
                KEY: flushed,
            }
            artefacts.write_json(scratch / "metadata.json", facts)
        tell(progress, EMBEDDER, flushed)
