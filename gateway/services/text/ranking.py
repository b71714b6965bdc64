"""How alike texts are: by the cosine of their embeddings, or by a cross-encoder that reads both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.errors import BadRequestError
from gateway.services.text.catalogue import Entry
from gateway.services.text.embedding_options import EmbeddingOptions
from gateway.services.text.service import TextService

Scores = NDArray[np.float64]


class Ranking:
    """Scores of pairs over the models of the catalogues.

    Args:
        service: whose models are asked.
    """

    def __init__(self, service: TextService) -> None:
        self._service = service

    def find(self, name: str) -> Entry:
        """Return the entry for a name; empty: the default one.

        Raises:
            BadRequestError: no catalogue has it; the detail lists what they have.
        """
        embedders, rankers = self._service.embedders, self._service.rankers
        name = name or self._service.settings.rerank_model
        if name in rankers.names:
            return rankers.find(name)
        if not name or name in embedders.names:
            return embedders.find(name)
        names = ", ".join(sorted((*embedders.names, *rankers.names)))
        raise BadRequestError(f"Unknown model; available models: {names}")

    async def rank(self, query: str, documents: Sequence[str], entry: Entry) -> tuple[Scores, int]:
        """Return the relevance of each document, and how many tokens the model read.

        Embedding models read both with their prompts for queries and documents, if they have some.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        if entry.model.task == "rerank":
            return await self._read_together([query], documents, entry)
        query_side = await self._service.prepare(entry, EmbeddingOptions(input_type="query"))
        document_side = await self._service.prepare(entry, EmbeddingOptions(input_type="document"))
        return await self._compared(
            query_side.prompted([query]), document_side.prompted(documents), entry
        )

    async def score(
        self, left: Sequence[str], right: Sequence[str], entry: Entry
    ) -> tuple[Scores, int]:
        """Return the score of each pair, and how many tokens the model read.

        Args:
            left: one text for each of ``right``, or one for all.
            right: at least one.
            entry: of :meth:`find`.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        if entry.model.task == "rerank":
            return await self._read_together(left, right, entry)
        plain = await self._service.prepare(entry)
        return await self._compared(plain.prompted(left), plain.prompted(right), entry)

    async def _read_together(
        self, left: Sequence[str], right: Sequence[str], entry: Entry
    ) -> tuple[Scores, int]:
        queries = left if len(left) > 1 else [left[0]] * len(right)
        scores, tokens = await self._service.rank(queries, right, entry)
        return scores.astype(np.float64), tokens

    async def _compared(
        self, left: Sequence[str], right: Sequence[str], entry: Entry
    ) -> tuple[Scores, int]:
        """Compare texts that have their prompts already."""
        vectors, tokens = await self._service.embed_counted([*left, *right], entry)
        return cosines(vectors[: len(left)], vectors[len(left) :]), tokens


def cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> Scores:
    """Return the cosine of each row of ``left`` with that of ``right``; 0 where a row is zero.

    Args:
        left: [n, dimensions], or [1, dimensions] for all.
        right: [n, dimensions].

    Returns:
        float64 [n], -1 to 1.
    """
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = np.einsum("ij,ij->i", np.broadcast_to(left, right.shape), right)
    return np.asarray(np.clip(products / np.where(lengths == 0, 1, lengths), -1, 1), np.float64)
