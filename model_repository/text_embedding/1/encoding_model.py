"""What every model does that sends rows of tokens through an encoder and answers by job.

`execute` only queues: answers are sent by the workers as soon as they are ready, so the model is
free for the next request at once. How the encoder is called may be measured (tuning.py); the
workers are exchanged between two executions when that is done.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from engine_values import Defaults, network_engine
from numpy.typing import NDArray
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import Job, RowQueue
from tokenizers import Tokenizer
from tuning import Tuning

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's

Refuse = Callable[..., None]
Rows = Mapping[Hashable, Sequence[int]]


class EncodingModel:
    """One instance; see the parameters in config.pbtxt. Subclasses read requests and call.

    Attributes:
        kind: How it calls its encoder where nothing was measured.
        items: What its rows are, in errors.
        facts: The artefacts' metadata.
        tokenizer: Cuts at the encoder's most tokens.
        encoder: Name of the network that is called through BLS.
        info: MODEL_INFO: the facts and how the encoder is called.
    """

    kind: ClassVar[Defaults]
    items: ClassVar[str] = "texts"

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self.facts: dict[str, Any] = json.loads((folder / "metadata.json").read_bytes())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.facts["max_tokens"])
        self.encoder = parameters["encoder"]
        self._tuning = Tuning(
            self.kind.up_to(self.facts["max_tokens"]),
            network_engine(parameters, self.encoder),
            folder.parents[1] / self.encoder,
            rows=parameters["chunk_rows"],
            tokens=parameters["chunk_tokens"],
            in_flight=parameters["chunks_in_flight"],
        )
        self._max_waiting_rows = int(parameters["max_waiting_rows"])
        self.prepare(folder)
        self._start()
        gc.freeze()  # imports and tokenizer stay: walking them again and again costs more than jobs

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
                self.queue(request, sender, refuse)
            except UnicodeDecodeError:
                refuse("a text is not valid UTF-8", "INVALID_ARG")
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(f"tokenisation failed: {error}")

    def finalize(self) -> None:
        """Lets the workers finish."""
        self._tuning.stop()
        self._encoding.stop()

    def submit(self, job: Job, rows: Rows, refuse: Refuse) -> None:
        """Queue a job, or refuse it where too much waits."""
        if not self._encoding.submit(job, rows):
            refuse(f"too many {self.items} are waiting", "UNAVAILABLE")

    def prepare(self, folder: Path) -> None:
        """Read what else is in the folder of the version."""

    def queue(
        self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender, refuse: Refuse
    ) -> None:
        """Tokenise a request and submit its job; may raise anything."""
        raise NotImplementedError

    def encode(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """Call the encoder: INT64 ids and mask [rows, length] to FP32 [rows, ...]."""
        raise NotImplementedError

    def _start(self) -> None:
        self._describe()
        calls = self._values.calls
        pb_utils.Logger.log_info(f"{self.encoder} is called with {calls}: {self._values.source}")
        self._encoding = RowEncoding(
            RowQueue(calls.rows, calls.tokens),
            self.encode,
            pad_token_id=self.facts["pad_token_id"],
            workers=calls.in_flight,
            max_waiting=self._max_waiting_rows,
        )

    def _describe(self) -> None:
        self._values = self._tuning.values
        told = {"calls": {self.encoder: self._values.as_json()}}
        self.info = json.dumps({**self.facts, **told}).encode()

    def _try(self, rows: int, length: int) -> None:
        """One call of the encoder, as the workers make it."""
        ids = np.full((rows, length), self.facts["pad_token_id"], dtype=np.int64)
        self.encode(ids, np.ones_like(ids))
