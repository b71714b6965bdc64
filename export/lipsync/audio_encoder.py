"""The Triton model `audio_encoder`, made from the operator's ONNX file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import artefacts
from export.errors import ExportError
from export.folders import derive
from export.progress import Progress

DEMO = 2
"""Version of the demo's encoder."""
MODEL = "audio_encoder"
GRAPH = "model.onnx"


@dataclass(frozen=True)
class AudioEncoderExport:
    """An audio encoder.

    Attributes:
        file: The operator's ONNX file, or where the demo's own is written.
        demo: Whether to write that one.
        name: Triton model; another one than `audio_encoder` is derived from it.
    """

    file: Path
    demo: bool
    repository: Path
    name: str = MODEL

    def is_current(self) -> bool:
        """See Export."""
        if not self.file.is_file():
            return False
        folder = artefacts.version_folder(self.repository, self.name)
        return artefacts.up_to_date(folder, self._made_from())

    def make(self, progress: Progress) -> None:
        """See Export."""
        if self.demo:
            # Imported late: it brings torch, and mostly there is nothing to make.
            from export.lipsync.audio_architecture import write_loudness_encoder

            write_loudness_encoder(self.file)
        if not self.file.is_file():
            raise ExportError(f"{self.file} is no file")
        # onnx takes a second to import: only when there is something to make.
        from export.flush import KEY, tell
        from export.lipsync.audio_encoder_graph import write_encoder

        if self.name != MODEL:
            derive(self.repository, MODEL, {MODEL: self.name})
        folder = artefacts.version_folder(self.repository, self.name)
        with (
            progress.busy(f"export {self.name} ({self.file.name})"),
            artefacts.publish(folder, self._made_from()) as scratch,
        ):
            worst, flushed = write_encoder(self.file, scratch / GRAPH)
            facts = {
                "model": "loudness, not trained (demo)" if self.demo else self.file.stem,
                "parity_max_difference": worst,
                KEY: flushed,
            }
            artefacts.write_json(scratch / "metadata.json", facts)
        tell(progress, self.name, flushed)

    def _made_from(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return {"sha256": digest, "demo": DEMO if self.demo else None}
