"""Triton model `reranking`: pairs of UTF-8 texts in, how relevant the second is to the first out.

Tokenises, batches the distinct pairs of all requests by length and calls the cross-encoder named by
the parameter `encoder` through BLS. `execute` only queues: answers are sent by the workers as soon
as they are ready, so this model is free for the next request at once.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from embedding_job import EmbeddingJob
from engine_values import PAIRS, calls, network_engine
from numpy.typing import NDArray
from pair_tokens import activated, packed, unpacked
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import RowQueue
from tokenizers import Tokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self._info = (folder / "metadata.json").read_bytes()
        metadata = json.loads(self._info)
        self._activation = metadata["activation"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(metadata["max_tokens"])  # the longer text of a pair first
        self._encoder = parameters["encoder"]
        chunks = calls(
            PAIRS,
            network_engine(parameters, self._encoder),
            rows=parameters["chunk_rows"],
            tokens=parameters["chunk_tokens"],
            in_flight=parameters["chunks_in_flight"],
        )
        pb_utils.Logger.log_info(f"{self._encoder} is called with {chunks}")
        self._encoding = RowEncoding(
            RowQueue(chunks.rows, chunks.tokens),
            self._encode,
            pad_token_id=metadata["pad_token_id"],
            workers=chunks.in_flight,
            max_waiting=int(parameters["max_waiting_rows"]),
        )
        gc.freeze()  # imports and tokenizer stay: walking them again and again costs more than jobs

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Queues the requests; their answers come from the workers."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            refuse = partial(model_io.fail, sender)
            try:
                self._queue(request, sender, refuse)
            except UnicodeDecodeError:
                refuse("a text is not valid UTF-8", "INVALID_ARG")
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(f"tokenisation failed: {error}")

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._encoding.stop()

    def _queue(
        self,
        request: pb_utils.InferenceRequest,
        sender: ThreadSafeSender,
        refuse: Callable[..., None],
    ) -> None:
        pairs = list(zip(_texts(request, "QUERY"), _texts(request, "DOCUMENT"), strict=True))
        distinct = list(dict.fromkeys(pairs))
        encoded = self._tokenizer.encode_batch_fast(distinct)
        rows: Mapping[Hashable, Sequence[int]] = {
            pair: packed(item.ids, item.type_ids)
            for pair, item in zip(distinct, encoded, strict=True)
        }
        extras = self._extras(set(request.requested_output_names()), pairs, rows)
        answer = partial(_answer, sender, self._activation, extras)
        job = EmbeddingJob(pairs, answer, refuse, sender.is_cancelled)
        if not self._encoding.submit(job, rows):
            refuse("too many pairs are waiting", "UNAVAILABLE")

    def _extras(
        self,
        wanted: Collection[str],
        pairs: Sequence[tuple[str, str]],
        rows: Mapping[Hashable, Sequence[int]],
    ) -> dict[str, NDArray[Any]]:
        extras: dict[str, NDArray[Any]] = {}
        if "TOKEN_COUNT" in wanted:
            extras["TOKEN_COUNT"] = np.array([[len(rows[pair])] for pair in pairs], np.int32)
        if "MODEL_INFO" in wanted:
            extras["MODEL_INFO"] = np.full((len(pairs), 1), self._info, dtype=np.object_)
        return extras

    def _encode(self, rows: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        ids, types = unpacked(rows)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return model_io.call(self._encoder, inputs, "logit")[0]


def _texts(request: pb_utils.InferenceRequest, name: str) -> list[str]:
    return [item.decode() for item in model_io.elements(request, name)]


def _answer(
    sender: ThreadSafeSender,
    activation: str,
    extras: Mapping[str, NDArray[Any]],
    logits: NDArray[Any],
) -> None:
    scores = activated(logits, activation)
    model_io.finish(sender, {"SCORE": scores, "LOGIT": logits, **extras})
