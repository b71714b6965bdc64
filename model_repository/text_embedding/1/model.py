"""Triton model `text_embedding`: UTF-8 text in, sentence embeddings out, or its tokens.

Tokenises, batches rows of all requests by length and calls the encoder named by the parameter
`encoder` through BLS (encoding_model.py).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import model_io
import numpy as np
import triton_python_backend_utils as pb_utils
from encoding_model import EncodingModel, Refuse, Rows
from engine_values import EMBEDDINGS
from numpy.typing import NDArray
from response_sender import ThreadSafeSender
from text_rows import Job, Row
from token_listing import TokenLister
from tokenizers import Tokenizer

END, START, NONE = SIDES = ("END", "START", "NONE")


class TritonPythonModel(EncodingModel):
    """One instance; see the parameters in config.pbtxt."""

    kind = EMBEDDINGS

    def prepare(self, folder: Path) -> None:
        """Make what lists tokens."""
        self._others: dict[str, Any] = {}
        self._lister = TokenLister(folder / "tokenizer.json")
        # Lists of tokens are made beside `execute`: whoever wants vectors does not wait for them.
        self._listing = ThreadPoolExecutor(1, "listing")

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._listing.shutdown()
        super().finalize()

    def tokenise(
        self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender, refuse: Refuse
    ) -> None:
        """Queue the texts, or list their tokens."""
        texts = [item.decode() for item in model_io.elements(request, "TEXT")]
        wanted = set(request.requested_output_names())
        if wanted == {"TOKENS"}:
            self._listing.submit(self._list, texts, sender, refuse)
        else:
            cut = model_io.elements(request, "TRUNCATE")
            side = cut[0].decode() if cut else END
            if side in SIDES:
                self._embed(texts, side, wanted, sender, refuse)
            else:
                refuse(f"TRUNCATE must be one of {SIDES}", "INVALID_ARG")

    def _list(self, texts: Sequence[str], sender: ThreadSafeSender, refuse: Refuse) -> None:
        try:
            if sender.is_cancelled():
                refuse("cancelled")
            else:
                model_io.finish(sender, {"TOKENS": _column(self._lister.listed(texts))})
        except Exception as error:
            refuse(f"tokenisation failed: {error}")

    def _embed(
        self,
        texts: Sequence[str],
        side: str,
        wanted: Collection[str],
        sender: ThreadSafeSender,
        refuse: Refuse,
    ) -> None:
        # Rows are shared by what they are made of, which is the text alone where its end is cut.
        keys: Sequence[Hashable] = texts if side == END else [(side, text) for text in texts]
        distinct = dict(zip(keys, texts, strict=True))
        encoded = self._side(side).encode_batch_fast(list(distinct.values()))
        rows: Rows = {key: item.ids for key, item in zip(distinct, encoded, strict=True)}
        most = self.facts["max_tokens"]
        long = [place for place, key in enumerate(keys) if side == NONE and len(rows[key]) > most]
        if long:
            refuse(f"text_too_long: index={long[0]}: truncate is NONE", "INVALID_ARG")
            return
        extras = self._extras(wanted, texts, keys, rows)
        job = Job(partial(_answer, sender, keys, extras), refuse, sender.is_cancelled)
        self.submit(job, rows, refuse)

    def _side(self, side: str) -> Any:
        """Return the tokenizer that cuts texts there; but for the usual one made when needed."""
        if side == END:
            return self.tokenizer
        if side not in self._others:
            tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
            if side == NONE:
                tokenizer.no_truncation()
            else:
                tokenizer.enable_truncation(self.facts["max_tokens"], direction="left")
            self._others[side] = tokenizer
        return self._others[side]

    def _extras(
        self, wanted: Collection[str], texts: Sequence[str], keys: Sequence[Hashable], rows: Rows
    ) -> dict[str, NDArray[Any]]:
        extras: dict[str, NDArray[Any]] = {}
        if "TOKEN_COUNT" in wanted:
            extras["TOKEN_COUNT"] = np.array([[len(rows[key])] for key in keys], np.int32)
        if "TOKENS" in wanted:
            extras["TOKENS"] = _column(self._lister.listed(texts))
        if "MODEL_INFO" in wanted:
            extras["MODEL_INFO"] = _column([self.info] * len(texts))
        return extras

    def encode(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """Return embeddings."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        return model_io.call(self.encoder, inputs, "embedding")[0]


def _column(items: Sequence[bytes]) -> NDArray[Any]:
    return model_io.strings(*items).reshape(-1, 1)


def _answer(
    sender: ThreadSafeSender,
    keys: Sequence[Hashable],
    extras: Mapping[str, NDArray[Any]],
    rows: Mapping[Hashable, Row],
) -> None:
    embeddings = np.stack([rows[key].value for key in keys])
    model_io.finish(sender, {"EMBEDDING": embeddings, **extras})
