"""Triton model `bertscore`: pairs of UTF-8 texts in, precision, recall and F1 out.

Tokenises, batches the distinct texts of all requests by length, calls the encoder named by the
parameter `encoder` through BLS and matches the token states. `execute` only queues: answers are
sent by the workers as soon as they are ready, so this model is free for the next request at once.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from bertscore_match import MatchingJob
from engine_values import TOKEN_STATES, network_engine
from numpy.typing import NDArray
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import RowQueue
from tokenizers import Tokenizer
from tuning import Tuning

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self._facts = metadata = json.loads((folder / "metadata.json").read_bytes())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(metadata["max_tokens"])
        self._unweighted = frozenset((metadata["cls_token_id"], metadata["sep_token_id"]))
        self._encoder = parameters["encoder"]
        self._tuning = Tuning(
            TOKEN_STATES,
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
                refuse("a text is not valid UTF-8", "INVALID_ARG")
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(f"tokenisation failed: {error}")

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._tuning.stop()
        self._encoding.stop()

    def _queue(
        self,
        request: pb_utils.InferenceRequest,
        sender: ThreadSafeSender,
        refuse: Callable[..., None],
    ) -> None:
        pairs = list(zip(_texts(request, "CANDIDATE"), _texts(request, "REFERENCE"), strict=True))
        distinct = list(dict.fromkeys(text for pair in pairs for text in pair))
        encoded = self._tokenizer.encode_batch_fast(distinct)
        info = self._info if "MODEL_INFO" in request.requested_output_names() else None
        job = MatchingJob(
            pairs, self._unweighted, partial(_answer, sender, info), refuse, sender.is_cancelled
        )
        rows: dict[Hashable, Sequence[int]] = {
            text: item.ids for text, item in zip(distinct, encoded, strict=True)
        }
        if not self._encoding.submit(job, rows):
            refuse("too many texts are waiting", "UNAVAILABLE")

    def _encode(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        inputs = {"input_ids": ids, "attention_mask": mask}
        return model_io.call(self._encoder, inputs, "token_embeddings")[0]


def _texts(request: pb_utils.InferenceRequest, name: str) -> list[str]:
    # Stripped as by bert-score.
    return [item.decode().strip() for item in model_io.elements(request, name)]


def _answer(sender: ThreadSafeSender, info: bytes | None, scores: NDArray[Any]) -> None:
    names = ("PRECISION", "RECALL", "F1")
    outputs = {name: scores[:, i : i + 1] for i, name in enumerate(names)}
    if info is not None:
        outputs["MODEL_INFO"] = np.full((len(scores), 1), info, dtype=np.object_)
    model_io.finish(sender, outputs)
