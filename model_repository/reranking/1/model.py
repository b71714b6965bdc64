"""Triton model `reranking`: pairs of UTF-8 texts in, how relevant the second is to the first out.

Tokenises, batches the distinct pairs of all requests by length and calls the cross-encoder named by
the parameter `encoder` through BLS. `execute` only queues: answers are sent by the workers as soon
as they are ready, so this model is free for the next request at once.
"""

import gc
import json
import locale
import os
from functools import partial
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from embedding_job import EmbeddingJob
from engine_values import PAIRS, calls, network_engine
from pair_tokens import activated, packed, unpacked
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import RowQueue
from tokenizers import Tokenizer

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Read the artefacts and start the workers."""
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
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

    def execute(self, requests):
        """Queues the requests; their answers come from the workers."""
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
        self._encoding.stop()

    def _queue(self, request, sender, refuse):
        pairs = list(zip(_texts(request, "QUERY"), _texts(request, "DOCUMENT"), strict=True))
        distinct = list(dict.fromkeys(pairs))
        encoded = self._tokenizer.encode_batch_fast(distinct)
        rows = {
            pair: packed(item.ids, item.type_ids)
            for pair, item in zip(distinct, encoded, strict=True)
        }
        extras = self._extras(set(request.requested_output_names()), pairs, rows)
        answer = partial(_answer, sender, self._activation, extras)
        job = EmbeddingJob(pairs, answer, refuse, sender.is_cancelled)
        if not self._encoding.submit(job, rows):
            refuse("too many pairs are waiting", pb_utils.TritonError.UNAVAILABLE)

    def _extras(self, wanted, pairs, rows):
        extras = []
        if "TOKEN_COUNT" in wanted:
            counts = np.array([[len(rows[pair])] for pair in pairs], dtype=np.int32)
            extras.append(pb_utils.Tensor("TOKEN_COUNT", counts))
        if "MODEL_INFO" in wanted:
            info = np.full((len(pairs), 1), self._info, dtype=np.object_)
            extras.append(pb_utils.Tensor("MODEL_INFO", info))
        return extras

    def _encode(self, rows, mask):
        ids, types = unpacked(rows)
        response = pb_utils.InferenceRequest(
            model_name=self._encoder,
            requested_output_names=["logit"],
            inputs=[
                pb_utils.Tensor("input_ids", ids),
                pb_utils.Tensor("attention_mask", mask),
                pb_utils.Tensor("token_type_ids", types),
            ],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()
        if response.has_error():
            raise RuntimeError(f"{self._encoder} failed: {response.error().message()}")
        return pb_utils.get_output_tensor_by_name(response, "logit").as_numpy().copy()


def _texts(request, name):
    raw = pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    return [item.decode() for item in raw]


def _answer(sender, activation, extras, logits):
    scores = pb_utils.Tensor("SCORE", activated(logits, activation))
    tensors = [scores, pb_utils.Tensor("LOGIT", logits), *extras]
    sender.send(
        pb_utils.InferenceResponse(tensors), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )


def _refuse(sender, message, code=None):
    error = pb_utils.TritonError(message, code or pb_utils.TritonError.INTERNAL)
    sender.send(
        pb_utils.InferenceResponse(error=error), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )
