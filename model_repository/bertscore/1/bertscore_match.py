"""Greedy cosine matching of BERTScore (Zhang et al. 2020), equal to bert-score 0.3.13.

Pure numpy, no Triton. As in `bert_score.utils.greedy_cos_idf` without idf and baseline: [CLS] and
[SEP] take part as match targets but carry no weight, and a text without tokens scores 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from text_rows import Job

SPECIALS_ONLY = 2
"""Length of an encoded empty text: [CLS] [SEP]."""


@dataclass(frozen=True)
class Sentence:
    """An encoded text.

    Attributes:
        states: Unit-length token states, FP32 [tokens, hidden].
        weights: Share of each token in the mean, FP32 [tokens], summing to 1.
    """

    states: np.ndarray
    weights: np.ndarray


def token_weights(ids: Sequence[int], unweighted: frozenset[int]) -> np.ndarray:
    """Weights of a sentence's tokens.

    Args:
        ids: Token ids with specials.
        unweighted: Ids that carry no weight. By id, as in bert-score: a literal "[SEP]" in the
            text carries none either.

    Returns:
        FP32 [tokens] summing to 1, or all zeros when no token carries weight.
    """
    counted = np.fromiter((token not in unweighted for token in ids), np.float32, count=len(ids))
    return counted / max(counted.sum(), np.float32(1))


def score(candidate: Sentence, reference: Sentence) -> tuple[float, float, float]:
    """Precision, recall and F1 of one pair; 0 where bert-score has 0 or not-a-number."""
    if min(len(candidate.states), len(reference.states)) <= SPECIALS_ONLY:
        return 0.0, 0.0, 0.0
    similarity = candidate.states @ reference.states.T
    precision = float(similarity.max(axis=1) @ candidate.weights)
    recall = float(similarity.max(axis=0) @ reference.weights)
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


class MatchingJob(Job):
    """The pairs of one request."""

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        unweighted: frozenset[int],
        answer: Callable[[np.ndarray], None],
        refuse: Callable[[str], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Creates the job.

        Args:
            pairs: Stripped candidate and reference texts in the order of the request.
            unweighted: See `token_weights`.
            answer: Receives the scores, FP32 [pairs, 3]: precision, recall, F1.
            refuse: Receives the reason when there are none.
            is_cancelled: Whether the client has gone.
        """
        super().__init__()
        self.pairs = pairs
        self._unweighted = unweighted
        self._answer = answer
        self._refuse = refuse
        self._is_cancelled = is_cancelled

    def finish(self) -> None:
        """Matches all pairs and hands the scores over."""
        sentences = {
            row.text: Sentence(row.value, token_weights(row.ids, self._unweighted))
            for row in self.rows
        }
        scores = np.empty((len(self.pairs), 3), dtype=np.float32)
        for index, (candidate, reference) in enumerate(self.pairs):
            scores[index] = score(sentences[candidate], sentences[reference])
        self._answer(scores)

    def fail(self, message: str) -> None:
        """Hands the reason over."""
        self._refuse(message)

    def cancelled(self) -> bool:
        """Whether the client has gone."""
        return self._is_cancelled()
