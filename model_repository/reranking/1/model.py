"""Triton model `reranking`: pairs of UTF-8 texts in, how relevant the second is to the first out.

Tokenises, batches the distinct pairs of all requests by length and calls the cross-encoder named by
the parameter `encoder` through BLS (encoding_model.py).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import model_io
import numpy as np
import triton_python_backend_utils as pb_utils
from encoding_model import EncodingModel, Refuse, Rows
from engine_values import PAIRS
from numpy.typing import NDArray
from pair_tokens import activated, packed, unpacked
from response_sender import ThreadSafeSender
from text_rows import Job, Row


class TritonPythonModel(EncodingModel):
    """One instance; see the parameters in config.pbtxt. The longer text of a pair is cut first."""

    kind = PAIRS
    items = "pairs"

    def tokenise(
        self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender, refuse: Refuse
    ) -> None:
        """Queue the pairs."""
        pairs = list(zip(_texts(request, "QUERY"), _texts(request, "DOCUMENT"), strict=True))
        distinct = list(dict.fromkeys(pairs))
        encoded = self.tokenizer.encode_batch_fast(distinct)
        rows: Rows = {
            pair: packed(item.ids, item.type_ids)
            for pair, item in zip(distinct, encoded, strict=True)
        }
        extras = self._extras(set(request.requested_output_names()), pairs, rows)
        answer = partial(_answer, sender, pairs, self.facts["activation"], extras)
        job = Job(answer, refuse, sender.is_cancelled)
        self.submit(job, rows, refuse)

    def _extras(
        self, wanted: Collection[str], pairs: Sequence[tuple[str, str]], rows: Rows
    ) -> dict[str, NDArray[Any]]:
        extras: dict[str, NDArray[Any]] = {}
        if "TOKEN_COUNT" in wanted:
            extras["TOKEN_COUNT"] = np.array([[len(rows[pair])] for pair in pairs], np.int32)
        if "MODEL_INFO" in wanted:
            extras["MODEL_INFO"] = np.full((len(pairs), 1), self.info, dtype=np.object_)
        return extras

    def encode(self, rows: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """Return logits."""
        ids, types = unpacked(rows)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return model_io.call(self.encoder, inputs, "logit")[0]


def _texts(request: pb_utils.InferenceRequest, name: str) -> list[str]:
    return [item.decode() for item in model_io.elements(request, name)]


def _answer(
    sender: ThreadSafeSender,
    pairs: Sequence[tuple[str, str]],
    activation: str,
    extras: Mapping[str, NDArray[Any]],
    rows: Mapping[Hashable, Row],
) -> None:
    logits = np.stack([rows[pair].value for pair in pairs])
    scores = activated(logits, activation)
    model_io.finish(sender, {"SCORE": scores, "LOGIT": logits, **extras})
