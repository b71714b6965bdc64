"""Greedy cosine matching of BERTScore (Zhang et al. 2020), equal to bert-score 0.3.13.

Pure numpy, no Triton. As in `bert_score.utils.greedy_cos_idf` without idf and baseline: [CLS] and
[SEP] take part as match targets but carry no weight, and a text without tokens scores 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from text_rows import Rows

SPECIALS_ONLY = 2
"""Length of an encoded empty text: [CLS] [SEP]."""

BLOCK = 64
"""Pairs that bert-score matches at a time (`BERTScorer.score`'s default batch size)."""


@dataclass(frozen=True)
class Sentence:
    """An encoded text.

    Attributes:
        states: Unit-length token states, FP32 [tokens, hidden].
        weights: Share of each token in the mean, FP32 [tokens], summing to 1.
    """

    states: NDArray[Any]
    weights: NDArray[Any]


def token_weights(ids: Sequence[int], unweighted: frozenset[int]) -> NDArray[Any]:
    """Weights of a sentence's tokens.

    Args:
        ids: Token ids with specials.
        unweighted: Ids that carry no weight. By id, as in bert-score: a literal "[SEP]" in the
            text carries none either.

    Returns:
        FP32 [tokens] summing to 1, or all zeros when no token carries weight.
    """
    counted = np.fromiter((token not in unweighted for token in ids), np.float32, count=len(ids))
    shares: NDArray[Any] = counted / max(counted.sum(), np.float32(1))
    return shares


def score(
    candidate: Sentence, reference: Sentence, floors: tuple[float, float] = (-1.0, -1.0)
) -> tuple[float, float, float]:
    """Precision, recall and F1 of one pair; 0 where bert-score has 0 or not-a-number.

    Args:
        candidate: Encoded candidate.
        reference: Encoded reference.
        floors: Least similarity of a candidate's and of a reference's token; see `score_all`.
    """
    if min(len(candidate.states), len(reference.states)) <= SPECIALS_ONLY:
        return 0.0, 0.0, 0.0
    similarity = candidate.states @ reference.states.T
    precision = float(np.maximum(similarity.max(axis=1), floors[0]) @ candidate.weights)
    recall = float(np.maximum(similarity.max(axis=0), floors[1]) @ reference.weights)
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def score_all(pairs: Sequence[tuple[Sentence, Sentence]]) -> NDArray[Any]:
    """Scores of the pairs of one request, as bert-score gives for one call.

    bert-score pads the pairs of a block to the longest candidate and the longest reference, and
    padding counts as a match target of similarity 0. A token that is unlike everything (negative
    cosine) therefore matches with 0 unless the other text is the longest of its block.

    Returns:
        FP32 [pairs, 3]: precision, recall, F1.
    """
    scores = np.empty((len(pairs), 3), dtype=np.float32)
    for start in range(0, len(pairs), BLOCK):
        block = pairs[start : start + BLOCK]
        longest_candidate = max(len(candidate.states) for candidate, _ in block)
        longest_reference = max(len(reference.states) for _, reference in block)
        for index, (candidate, reference) in enumerate(block, start):
            floors = (
                0.0 if len(reference.states) < longest_reference else -1.0,
                0.0 if len(candidate.states) < longest_candidate else -1.0,
            )
            scores[index] = score(candidate, reference, floors)
    return scores


def score_rows(
    pairs: Sequence[tuple[str, str]], rows: Rows, unweighted: frozenset[int]
) -> NDArray[Any]:
    """Scores of the pairs of one request, as `score_all`.

    Args:
        pairs: Stripped candidate and reference texts in the order of the request.
        rows: Encoded, by text.
        unweighted: See `token_weights`.
    """
    sentences = {
        text: Sentence(row.value, token_weights(row.ids, unweighted)) for text, row in rows.items()
    }
    return score_all([(sentences[left], sentences[right]) for left, right in pairs])
