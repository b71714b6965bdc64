"""Triton model `bertscore`: pairs of UTF-8 texts in, precision, recall and F1 out.

Tokenises, batches the distinct texts of all requests by length, calls the encoder named by the
parameter `encoder` through BLS (encoding_model.py) and matches the token states.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import model_io
import numpy as np
import triton_python_backend_utils as pb_utils
from bertscore_match import score_rows
from encoding_model import EncodingModel, Refuse
from engine_values import TOKEN_STATES
from numpy.typing import NDArray
from response_sender import ThreadSafeSender
from text_rows import Job, Row


class TritonPythonModel(EncodingModel):
    """One instance; see the parameters in config.pbtxt."""

    kind = TOKEN_STATES

    def prepare(self, folder: Path) -> None:
        """Take note of the tokens that do not count."""
        self._unweighted = frozenset((self.facts["cls_token_id"], self.facts["sep_token_id"]))

    def tokenise(
        self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender, refuse: Refuse
    ) -> None:
        """Queue the texts of all pairs."""
        pairs = list(zip(_texts(request, "CANDIDATE"), _texts(request, "REFERENCE"), strict=True))
        distinct = list(dict.fromkeys(text for pair in pairs for text in pair))
        encoded = self.tokenizer.encode_batch_fast(distinct)
        info = self.info if "MODEL_INFO" in request.requested_output_names() else None
        answer = partial(self._answer, sender, pairs, info)
        job = Job(answer, refuse, sender.is_cancelled)
        rows: dict[Hashable, Sequence[int]] = {
            text: item.ids for text, item in zip(distinct, encoded, strict=True)
        }
        self.submit(job, rows, refuse)

    def encode(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """Return the states of all tokens."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        return model_io.call(self.encoder, inputs, "token_embeddings")[0]

    def _answer(
        self,
        sender: ThreadSafeSender,
        pairs: Sequence[tuple[str, str]],
        info: bytes | None,
        rows: Mapping[Hashable, Row],
    ) -> None:
        scores = score_rows(pairs, rows, self._unweighted)
        names = ("PRECISION", "RECALL", "F1")
        outputs = {name: scores[:, i : i + 1] for i, name in enumerate(names)}
        if info is not None:
            outputs["MODEL_INFO"] = np.full((len(scores), 1), info, dtype=np.object_)
        model_io.finish(sender, outputs)


def _texts(request: pb_utils.InferenceRequest, name: str) -> list[str]:
    # Stripped as by bert-score.
    return [item.decode().strip() for item in model_io.elements(request, name)]
