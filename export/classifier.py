"""Exports an image classifier: the network's graph, the caller's labels and facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export import artefacts
from export.classifier_source import ClassifierSource
from export.errors import ExportError
from export.fetch import sha256_of
from export.folders import derive, derived_name, set_sizes
from export.progress import Progress
from export.torchvision_library import Torchvision

NETWORK = "image_classifier"
CALLER = "image_classification"
LABELS = "labels.txt"
STEPS = 4


@dataclass(frozen=True)
class ClassifierExport:
    """One classifier for one pair of Triton models: the network and the one that takes files.

    Attributes:
        suffix: Both models are written beside the default ones, with this behind their names.
    """

    source: ClassifierSource
    repository: Path
    cache: Path
    suffix: str | None = None

    def is_current(self) -> bool:
        """See Export."""
        made_from = self.source.made_from()
        return all(
            artefacts.up_to_date(self._folder(name), made_from) for name in (NETWORK, CALLER)
        )

    def make(self, progress: Progress) -> None:
        """See Export."""
        made_from = self.source.made_from()
        library = Torchvision(self.cache, progress)
        classifier = self.source.resolve(library, self.cache, progress)
        if not (classifier.is_standard or self.suffix):
            raise ExportError(
                f"{classifier.input_size} pixels and {len(classifier.labels)} classes do not fit "
                f"the configuration of {NETWORK}: write it beside with --as NAME (configured: "
                f"vision.network: {NETWORK}_NAME, vision.triton_model: {CALLER}_NAME)"
            )
        # torch takes seconds to import: only when there is something to make.
        from export.classifier_graph import check_graph, export_graph, load_network
        from export.flush import KEY, flush_graph, tell
        from export.graph_parity import pictures

        with progress.steps(f"export {NETWORK} ({classifier.architecture})", STEPS) as done:
            model = load_network(library, classifier)
            done("weights loaded")
            if self.suffix:
                names = {name: derived_name(name, self.suffix) for name in (NETWORK, CALLER)}
                for name in names:
                    derive(self.repository, name, names)
                set_sizes(
                    self.repository,
                    names[NETWORK],
                    {224: classifier.input_size, 1000: len(classifier.labels)},
                )
            with artefacts.publish(self._folder(NETWORK), made_from) as scratch:
                graph = scratch / "model.onnx"
                export_graph(model, graph, classifier.input_size)
                done("graph written")
                size = (classifier.input_size, classifier.input_size)
                flushed = flush_graph(graph, lambda: [{"image": pictures(4, size)}])
                difference = check_graph(model, graph, classifier.input_size)
                done(f"parity {difference:.0e}")
            facts = {
                "model": classifier.architecture,
                "source": classifier.origin,
                "license": classifier.license,
                "sha256": sha256_of(classifier.weights),
                "input_size": classifier.input_size,
                "resize_size": classifier.resize_size,
                "interpolation": classifier.interpolation,
                "classes": len(classifier.labels),
                "labels": LABELS,
                "parity_max_difference": difference,
                KEY: flushed,
            }
            with artefacts.publish(self._folder(CALLER), made_from) as scratch:
                (scratch / LABELS).write_text("\n".join(classifier.labels) + "\n", encoding="utf-8")
                artefacts.write_json(scratch / "metadata.json", facts)
            done(f"parity {difference:.0e}")
        tell(progress, NETWORK, flushed)

    def _folder(self, model: str) -> Path:
        name = derived_name(model, self.suffix) if self.suffix else model
        return artefacts.version_folder(self.repository, name)
