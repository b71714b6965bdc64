"""Exports the expression classifier: its graph, and what its outputs mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import artefacts
from export.catalogue import FACEPLUGIN_EXPRESSION
from export.fetch import packaged_network
from export.progress import Progress

NETWORK = "expression_classifier"

MISSING = ("contempt",)
"""Emotions of the wire contract that the network does not know."""

COLOR = 0.5
"""Share of the colours that is kept. Of the 47 faces in `EVIDENCE` the network got 44 right with
half of them, 42 with all (its package's own preprocessing) and 37 in grey, in otherwise equal
crops."""

EVIDENCE = (
    "The package states neither the order of its outputs nor its training data. The order is the "
    "one of FER2013 and was checked on 47 faces of 15 people whose expression is evident; crop "
    "and colour were chosen on the same faces. 43 are right: happiness 19 of 19, neutral 11 of "
    "13, sadness 7 of 7 and fear 4 of 4 (one actor), surprise 2 of 2. One angry face was taken "
    "for fear and one disgusted one for sadness, so the places of anger and disgust are inferred. "
    "A sanity check, no accuracy."
)


@dataclass(frozen=True)
class ExpressionExport:
    """The packaged expression classifier."""

    repository: Path
    cache: Path

    def is_current(self) -> bool:
        """See Export."""
        folder = artefacts.version_folder(self.repository, NETWORK)
        return artefacts.up_to_date(folder, _made_from())

    def make(self, progress: Progress) -> None:
        """See Export."""
        packaged = FACEPLUGIN_EXPRESSION
        source, facts = packaged_network(packaged, self.cache, progress)
        # onnx takes a second to import: only when there is something to make.
        from export.expression_graph import write_classifier
        from export.flush import KEY, tell

        folder = artefacts.version_folder(self.repository, NETWORK)
        with (
            progress.busy(f"export {NETWORK} ({packaged.model})"),
            artefacts.publish(folder, _made_from()) as scratch,
        ):
            difference, flushed = write_classifier(
                source, scratch / "model.onnx", packaged.input_size, len(packaged.labels), COLOR
            )
            facts |= {
                "labels": packaged.labels,
                "missing_labels": MISSING,
                "evidence": EVIDENCE,
                "input_size": packaged.input_size,
                "color": COLOR,
                "parity_max_difference": difference,
                KEY: flushed,
            }
            artefacts.write_json(scratch / "metadata.json", facts)
        tell(progress, NETWORK, flushed)


def _made_from() -> dict[str, Any]:
    return {
        "weights": FACEPLUGIN_EXPRESSION.package.sha256,
        "color": COLOR,
        "missing": list(MISSING),
        "evidence": EVIDENCE,
    }
