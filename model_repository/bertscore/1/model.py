"""Triton model `bertscore`: pairs of UTF-8 texts in, precision, recall and F1 out.

Tokenises, batches the distinct texts of all requests by length, calls the encoder named by the
parameter `encoder` through BLS and matches the token states. `execute` only queues: answers are
sent by the workers as soon as they are ready, so this model is free for the next request at once.
"""

import gc
import json
import locale
import os
import threading
from functools import partial
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from bertscore_match import MatchingJob
from engine_values import TOKEN_STATES, network_engine
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import RowQueue
from tokenizers import Tokenizer
from tuning import Tuning

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Read the artefacts and start the workers."""
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
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

    def _start(self):
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

    def _describe(self):
        self._values = self._tuning.values
        told = {"calls": {self._encoder: self._values.as_json()}}
        self._info = json.dumps({**self._facts, **told}).encode()

    def _try(self, rows, length):
        """One call of the encoder, as the workers make it."""
        ids = np.full((rows, length), self._pad_token_id, dtype=np.int64)
        self._encode(ids, np.ones_like(ids))

    def execute(self, requests):
        """Queues the requests; their answers come from the workers."""
        if self._tuning.renewed(self._try):
            old = self._encoding
            self._start()
            threading.Thread(target=old.stop).start()  # once it has finished what it has
        if self._values is not self._tuning.values:  # they stayed, and there is a reason
            self._describe()
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            refuse = partial(_refuse, sender)
            try:
                self._queue(request, sender, refuse)
            except UnicodeDecodeError:
                refuse("a text is not valid UTF-8", pb_utils.TritonError.INVALID_ARG)
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(f"tokenisation failed: {error}")

    def finalize(self):
        """Lets the workers finish."""
        self._tuning.stop()
        self._encoding.stop()

    def _queue(self, request, sender, refuse):
        pairs = list(zip(_texts(request, "CANDIDATE"), _texts(request, "REFERENCE"), strict=True))
        distinct = list(dict.fromkeys(text for pair in pairs for text in pair))
        encoded = self._tokenizer.encode_batch_fast(distinct)
        info = self._info if "MODEL_INFO" in request.requested_output_names() else None
        job = MatchingJob(
            pairs, self._unweighted, partial(_answer, sender, info), refuse, sender.is_cancelled
        )
        rows = {text: item.ids for text, item in zip(distinct, encoded, strict=True)}
        if not self._encoding.submit(job, rows):
            refuse("too many texts are waiting", pb_utils.TritonError.UNAVAILABLE)

    def _encode(self, ids, mask):
        response = pb_utils.InferenceRequest(
            model_name=self._encoder,
            requested_output_names=["token_embeddings"],
            inputs=[pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()
        if response.has_error():
            raise RuntimeError(f"{self._encoder} failed: {response.error().message()}")
        return pb_utils.get_output_tensor_by_name(response, "token_embeddings").as_numpy().copy()


def _texts(request, name):
    raw = pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    return [item.decode().strip() for item in raw]  # stripped as by bert-score


def _answer(sender, info, scores):
    names = ("PRECISION", "RECALL", "F1")
    tensors = [pb_utils.Tensor(name, scores[:, i : i + 1]) for i, name in enumerate(names)]
    if info is not None:
        repeated = np.full((len(scores), 1), info, dtype=np.object_)
        tensors.append(pb_utils.Tensor("MODEL_INFO", repeated))
    sender.send(
        pb_utils.InferenceResponse(tensors), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )


def _refuse(sender, message, code=None):
    error = pb_utils.TritonError(message, code or pb_utils.TritonError.INTERNAL)
    sender.send(
        pb_utils.InferenceResponse(error=error), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )
