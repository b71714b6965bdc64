"""Exports one pair of Triton models: the encoder's graph, the caller's tokenizer and facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import artefacts
from export.checkpoint import (
    SentenceConfig,
    activation,
    load_tokenizer,
    sentence_config,
    special_ids,
    tokenizer_json,
    usable_length,
)
from export.fetch import sha256_of
from export.progress import Progress
from export.source import Source
from export.task import Task

STEPS = 4


@dataclass(frozen=True)
class PairExport:
    """One checkpoint for one task.

    Attributes:
        suffix: Both models are written beside the default ones, with this behind their names.
    """

    task: Task
    source: Source
    repository: Path
    cache: Path
    suffix: str | None = None

    def is_current(self) -> bool:
        """See Export."""
        task = self._target()
        made_from = task.made_from(self.source)
        return all(
            artefacts.up_to_date(artefacts.version_folder(self.repository, name), made_from)
            for name in (task.encoder, task.caller)
        )

    def make(self, progress: Progress) -> None:
        """See Export."""
        task = self._target()
        if self.suffix:
            self.task.derive(task, self.repository)
        dimensions = export_pair(task, self.source, self.repository, self.cache, progress)
        if self.suffix:
            task.set_dimensions(self.repository, dimensions)

    def _target(self) -> Task:
        return self.task.named(self.suffix) if self.suffix else self.task


def vectors_facts(config: Any, sentences: SentenceConfig) -> dict[str, Any]:
    """Return what the caller of an embedding model has to know beside the plain facts.

    `matryoshka_dimensions`, in a checkpoint's own configuration, are the lengths to which its
    vectors may be cut.
    """
    declared = getattr(config, "matryoshka_dimensions", None)
    cut = {"matryoshka_dimensions": sorted(map(int, declared))} if declared else {}
    return {**sentences.facts(), **cut}


def export_pair(
    task: Task, source: Source, repository: Path, cache: Path, progress: Progress
) -> int:
    """Write the artefacts of both models, the caller's last.

    Returns:
        Length of the encoder's vectors.

    Raises:
        ExportError: The checkpoint cannot be had, or the graph differs from it.
    """
    layer = task.layer(source)
    place = source.fetch(cache, progress)
    # torch and transformers take seconds to import: only when there is something to make.
    from export.flush import KEY, flush_graph, tell
    from export.parity import check_parity, measure_bf16, sample_feed
    from export.tracing import export_onnx

    with progress.steps(f"export {task.caller} ({source.model})", STEPS) as done:
        tokenizer = load_tokenizer(place, for_matching=task.is_matching)
        encoder = task.load(place, layer)
        sentences = sentence_config(place) if task.is_embedding else SentenceConfig()
        most = usable_length(tokenizer, encoder)
        max_tokens = task.tokens(source) or min(most, sentences.max_tokens or most)
        dimensions = int(encoder.config.hidden_size)
        head = task.headed(encoder, tokenizer, sentences)
        done("checkpoint loaded")
        folder = artefacts.version_folder(repository, task.encoder)
        with artefacts.publish(folder, task.made_from(source)) as scratch:
            graph = scratch / "model.onnx"
            export_onnx(head, graph, task)
            done("graph written")
            flushed = flush_graph(graph, lambda: [sample_feed(tokenizer, max_tokens, task)])
            difference = check_parity(head, graph, tokenizer, max_tokens, task)
            done(f"parity {difference:.0e}")
            if task.is_embedding:
                verdict = measure_bf16(graph, tokenizer, max_tokens)
                artefacts.write_json(scratch / "openvino.json", verdict)
            digest = sha256_of(graph)
        facts = {
            "model": source.model,
            "source": source.origin,
            "license": source.license,
            "max_tokens": max_tokens,
            **({} if task.is_ranking else {"dimensions": dimensions}),
            "sha256": digest,
            "parity_max_difference": difference,
            KEY: flushed,
            **({"layer": layer} if layer is not None else {}),
            **(vectors_facts(encoder.config, sentences) if task.is_embedding else {}),
            **({"activation": activation(encoder.config)} if task.is_ranking else {}),
            **special_ids(tokenizer),
        }
        folder = artefacts.version_folder(repository, task.caller)
        with artefacts.publish(folder, task.made_from(source)) as scratch:
            (scratch / "tokenizer.json").write_text(tokenizer_json(tokenizer), encoding="utf-8")
            artefacts.write_json(scratch / "metadata.json", facts)
        done(f"parity {difference:.0e}")
    tell(progress, task.encoder, flushed)
    return dimensions
