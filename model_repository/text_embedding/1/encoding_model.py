"""What every model does that sends rows of tokens through an encoder and answers by job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import model_io
import model_settings
import numpy as np
import triton_python_backend_utils as pb_utils
from engine_values import Calls, Defaults, network_engine
from numpy.typing import NDArray
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import Job, RowQueue
from tokenizers import Tokenizer
from tuned_model import TunedModel
from tuning import Tuning

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's

Refuse = Callable[..., None]
Rows = Mapping[Hashable, Sequence[int]]


class EncodingModel(TunedModel):
    """One instance; see the parameters in config.pbtxt. Subclasses read requests and call.

    Attributes:
        kind: How it calls its encoder where nothing was measured.
        items: What its rows are, in errors.
        facts: The artefacts' metadata.
        tokenizer: Cuts at the encoder's most tokens.
        encoder: Name of the network that is called through BLS.
    """

    kind: ClassVar[Defaults]
    items: ClassVar[str] = "texts"

    def initialize(self, args: dict[str, str]) -> None:
        """Read the artefacts and start the workers."""
        parameters = model_settings.parameters(args)
        folder = model_settings.version_folder(args)
        self.facts = json.loads((folder / "metadata.json").read_bytes())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.facts["max_tokens"])
        self.encoder = parameters["encoder"]
        tuning = Tuning(
            self.kind.up_to(self.facts["max_tokens"]),
            network_engine(parameters, self.encoder),
            folder.parents[1] / self.encoder,
            rows=parameters["chunk_rows"],
            tokens=parameters["chunk_tokens"],
            in_flight=parameters["chunks_in_flight"],
        )
        self._max_waiting_rows = int(parameters["max_waiting_rows"])
        self.prepare(folder)
        self.tune((tuning, self._try))

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Queue the job of a request."""
        refuse = partial(model_io.fail, sender)
        try:
            self.tokenise(request, sender, refuse)
        except UnicodeDecodeError:
            refuse("a text is not valid UTF-8", "INVALID_ARG")
        except Exception as error:
            refuse(f"tokenisation failed: {error}")

    def submit(self, job: Job, rows: Rows, refuse: Refuse) -> None:
        """Queue a job, or refuse it where too much waits."""
        if not self._encoding.submit(job, rows):
            refuse(f"too many {self.items} are waiting", "UNAVAILABLE")

    def prepare(self, folder: Path) -> None:
        """Read what else is in the folder of the version."""

    def tokenise(
        self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender, refuse: Refuse
    ) -> None:
        """Tokenise a request and submit its job; may raise anything."""
        raise NotImplementedError

    def encode(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """Call the encoder: INT64 ids and mask [rows, length] to FP32 [rows, ...]."""
        raise NotImplementedError

    def start(self, calls: Sequence[Calls]) -> Callable[[], None]:
        """Start the threads that call the encoder."""
        (values,) = calls
        self._encoding = RowEncoding(
            RowQueue(values.rows, values.tokens),
            self.encode,
            pad_token_id=self.facts["pad_token_id"],
            workers=values.in_flight,
            max_waiting=self._max_waiting_rows,
        )
        return self._encoding.stop

    def _try(self, rows: int, length: int) -> None:
        """One call of the encoder, as the workers make it."""
        ids = np.full((rows, length), self.facts["pad_token_id"], dtype=np.int64)
        self.encode(ids, np.ones_like(ids))
