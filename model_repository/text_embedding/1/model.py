"""Triton model `text_embedding`: UTF-8 text in, sentence embeddings out, or its tokens.

Tokenises, batches rows of all requests by length and calls the encoder named by the parameter
`encoder` through BLS. `execute` only queues: answers are sent by the workers as soon as they are
ready, so this model is free for the next request at once.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from embedding_job import EmbeddingJob
from engine_values import EMBEDDINGS, network_engine
from numpy.typing import NDArray
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import RowQueue
from token_listing import TokenLister
from tokenizers import Tokenizer
from tuning import Tuning

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's

Refuse = Callable[..., None]
Rows = Mapping[Hashable, Sequence[int]]

END, START, NONE = SIDES = ("END", "START", "NONE")


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self._facts = metadata = json.loads((folder / "metadata.json").read_bytes())
        self._max_tokens = metadata["max_tokens"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self._max_tokens)
        self._others: dict[str, Any] = {}
        self._lister = TokenLister(folder / "tokenizer.json")
        # Lists of tokens are made beside `execute`: whoever wants vectors does not wait for them.
        self._listing = ThreadPoolExecutor(1, "listing")
        self._encoder = parameters["encoder"]
        self._tuning = Tuning(
            EMBEDDINGS,
            network_engine(parameters, self._encoder),
            folder.parents[1] / self._encoder,
            rows=parameters["chunk_rows"],
            tokens=parameters["chunk_tokens"],
            in_flight=parameters["chunks_in_flight"],
        )
        self._pad_token_id = metadata["pad_token_id"]
        self._max_waiting_rows = int(parameters["max_waiting_rows"])
        self._start()
        gc.freeze()  # imports and tokenizer stay: walking them again and again costs more than jobs

    def _start(self) -> None:
        values = self._tuning.values
        self._describe()
        pb_utils.Logger.log_info(f"{self._encoder} is called with {values.calls}: {values.source}")
        self._encoding = RowEncoding(
            RowQueue(values.calls.rows, values.calls.tokens),
            self._encode,
            pad_token_id=self._pad_token_id,
            workers=values.calls.in_flight,
            max_waiting=self._max_waiting_rows,
        )

    def _describe(self) -> None:
        self._values = self._tuning.values
        told = {"calls": {self._encoder: self._values.as_json()}}
        self._info = json.dumps({**self._facts, **told}).encode()

    def _try(self, rows: int, length: int) -> None:
        """One call of the encoder, as the workers make it."""
        ids = np.full((rows, length), self._pad_token_id, dtype=np.int64)
        self._encode(ids, np.ones_like(ids))

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Queues the requests; their answers come from the workers."""
        if self._tuning.renewed(self._try):
            old = self._encoding
            self._start()
            threading.Thread(target=old.stop).start()  # once it has finished what it has
        if self._values is not self._tuning.values:  # they stayed, and there is a reason
            self._describe()
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            refuse = partial(model_io.fail, sender)
            try:
                self._queue(request, sender, refuse)
            except UnicodeDecodeError:
                refuse("TEXT is not valid UTF-8", "INVALID_ARG")
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(f"tokenisation failed: {error}")

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._tuning.stop()
        self._listing.shutdown()
        self._encoding.stop()

    def _queue(
        self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender, refuse: Refuse
    ) -> None:
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
        if side == NONE and (long := _first_longer(keys, rows, self._max_tokens)) is not None:
            refuse(f"text_too_long: index={long}: truncate is NONE", "INVALID_ARG")
            return
        extras = self._extras(wanted, texts, keys, rows)
        job = EmbeddingJob(keys, partial(_answer, sender, extras), refuse, sender.is_cancelled)
        if not self._encoding.submit(job, rows):
            refuse("too many texts are waiting", "UNAVAILABLE")

    def _side(self, side: str) -> Any:
        """Return the tokenizer that cuts texts there; but for the usual one made when needed."""
        if side == END:
            return self._tokenizer
        if side not in self._others:
            tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
            if side == NONE:
                tokenizer.no_truncation()
            else:
                tokenizer.enable_truncation(self._max_tokens, direction="left")
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
            extras["MODEL_INFO"] = _column([self._info] * len(texts))
        return extras

    def _encode(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        inputs = {"input_ids": ids, "attention_mask": mask}
        return model_io.call(self._encoder, inputs, "embedding")[0]


def _first_longer(keys: Sequence[Hashable], rows: Rows, most: int) -> int | None:
    return next((place for place, key in enumerate(keys) if len(rows[key]) > most), None)


def _column(items: Sequence[bytes]) -> NDArray[Any]:
    return model_io.strings(*items).reshape(-1, 1)


def _answer(
    sender: ThreadSafeSender, extras: Mapping[str, NDArray[Any]], embeddings: NDArray[Any]
) -> None:
    model_io.finish(sender, {"EMBEDDING": embeddings, **extras})
