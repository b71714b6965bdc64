"""Requests for embeddings as jobs of the row queue. Pure Python, no Triton."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from text_rows import Job


class EmbeddingJob(Job):
    """Texts of one request, duplicates and order kept."""

    def __init__(
        self,
        texts: Sequence[Hashable],
        answer: Callable[[NDArray[Any]], None],
        refuse: Callable[[str], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Create the job.

        Args:
            texts: Texts in the order of the request.
            answer: Receives the embeddings, FP32 [len(texts), dimensions].
            refuse: As of `Job`.
            is_cancelled: Likewise.
        """
        super().__init__(refuse, is_cancelled)
        self.texts = texts
        self._answer = answer

    def finish(self) -> None:
        """Hands the embeddings over in the order of the request."""
        values = {row.text: row.value for row in self.rows}
        self._answer(np.stack([values[text] for text in self.texts]))
