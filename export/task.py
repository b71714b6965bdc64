"""The tasks of the text service, each a pair of Triton models: a network and its caller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from export.checkpoint import SentenceConfig, load_classifier, load_encoder
from export.errors import ExportError
from export.folders import derive, derived_name, set_sizes
from export.source import Source

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"


@dataclass(frozen=True)
class Task:
    """What differs between embedding, matching and ranking.

    Attributes:
        caller: Triton model that takes text.
        encoder: Triton model that runs the network for it.
        output: Name of the network's output.
        inputs: Names of its inputs.
    """

    caller: str
    encoder: str
    output: str
    inputs: tuple[str, ...] = (IDS, MASK)

    @property
    def is_matching(self) -> bool:
        """Whether it compares tokens of one hidden layer instead of whole sentences."""
        return self.output == "token_embeddings"

    @property
    def is_ranking(self) -> bool:
        """Whether its network reads two texts at once and has a head of its own."""
        return self.output == "logit"

    @property
    def is_embedding(self) -> bool:
        """Whether its network makes one vector of a text."""
        return self.output == "embedding"

    @property
    def output_rank(self) -> int:
        """Rank of the output: 3 where each token has one, else 2."""
        return 3 if self.is_matching else 2

    def load(self, place: str, layer: int | None) -> Any:
        """Return the network of a checkpoint.

        Raises:
            ExportError: It cannot be loaded, or is not one for this task.
        """
        return load_classifier(place) if self.is_ranking else load_encoder(place, layer)

    def tokens(self, source: Source) -> int | None:
        """Return the truncation that the source asks for; None lets the tokenizer decide."""
        if self.is_ranking:
            return None
        return source.matching_tokens if self.is_matching else source.embedding_tokens

    def layer(self, source: Source) -> int | None:
        """Layers of the encoder to keep; None keeps all.

        Raises:
            ExportError: Matching without a layer.
        """
        if not self.is_matching:
            return None
        if source.layer is None:
            raise ExportError(f"--layer is needed: which layer of {source.model} to compare")
        return source.layer

    def headed(self, encoder: Any, tokenizer: Any, sentences: SentenceConfig) -> Any:
        """Return the encoder with the task's head behind it."""
        from export.heads import PairHead, SentenceHead, TokenHead

        if self.is_ranking:
            return PairHead(encoder, takes_types=TYPES in tokenizer.model_input_names)
        if self.is_matching:
            return TokenHead(encoder)
        pooling, normalized = sentences.pooling, sentences.normalized
        return SentenceHead(encoder, pooling=pooling, normalized=normalized)

    def made_from(self, source: Source) -> dict[str, Any]:
        """Return what the artefacts depend on."""
        return {
            "task": self.output,
            "model": source.model,
            "checkpoint": source.sha256,
            "layer": source.layer if self.is_matching else None,
            "tokens": self.tokens(source),
        }

    def named(self, suffix: str) -> Task:
        """Return the same task in folders of its own.

        Raises:
            ExportError: The suffix is no part of a model name.
        """
        caller, encoder = (derived_name(name, suffix) for name in (self.caller, self.encoder))
        return replace(self, caller=caller, encoder=encoder)

    def derive(self, other: Task, repository: Path) -> None:
        """Copy the committed part of both models to the folders of `other`."""
        names = {self.caller: other.caller, self.encoder: other.encoder}
        for name in names:
            derive(repository, name, names)

    def set_dimensions(self, repository: Path, dimensions: int) -> None:
        """Adapts a derived encoder's configuration to another hidden size."""
        set_sizes(repository, self.encoder, {384: dimensions})


TASKS = {
    "text_embedding": Task("text_embedding", "sentence_encoder", "embedding"),
    "bertscore": Task("bertscore", "token_encoder", "token_embeddings"),
    "reranking": Task("reranking", "cross_encoder", "logit", (IDS, MASK, TYPES)),
}
