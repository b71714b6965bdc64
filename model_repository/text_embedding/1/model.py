"""Triton model `text_embedding`: UTF-8 text in, sentence embeddings out, or its tokens.

Tokenises, batches rows of all requests by length and calls the encoder named by the parameter
`encoder` through BLS. `execute` only queues: answers are sent by the workers as soon as they are
ready, so this model is free for the next request at once.
"""

import gc
import json
import locale
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from embedding_job import EmbeddingJob
from engine_values import EMBEDDINGS, network_engine
from response_sender import ThreadSafeSender
from row_encoding import RowEncoding
from text_rows import RowQueue
from token_listing import TokenLister
from tokenizers import Tokenizer
from tuning import Tuning

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # the embedded interpreter starts in ASCII
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool would fight the encoder's

END, START, NONE = SIDES = ("END", "START", "NONE")


class TritonPythonModel:
    """One instance; see the parameters in config.pbtxt."""

    def initialize(self, args):
        """Read the artefacts and start the workers."""
        config = json.loads(args["model_config"])
        parameters = {key: item["string_value"] for key, item in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
        self._facts = metadata = json.loads((folder / "metadata.json").read_bytes())
        self._max_tokens = metadata["max_tokens"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self._max_tokens)
        self._others = {}
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
                refuse("TEXT is not valid UTF-8", pb_utils.TritonError.INVALID_ARG)
            except Exception as error:  # raised, it would leak the batch's shared memory
                refuse(f"tokenisation failed: {error}")

    def finalize(self):
        """Lets the workers finish."""
        self._tuning.stop()
        self._listing.shutdown()
        self._encoding.stop()

    def _queue(self, request, sender, refuse):
        raw = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
        texts = [item.decode() for item in raw]
        wanted = set(request.requested_output_names())
        if wanted == {"TOKENS"}:
            self._listing.submit(self._list, texts, sender, refuse)
        else:
            cut = pb_utils.get_input_tensor_by_name(request, "TRUNCATE")
            side = END if cut is None else cut.as_numpy().flat[0].decode()
            if side in SIDES:
                self._embed(texts, side, wanted, sender, refuse)
            else:
                refuse(f"TRUNCATE must be one of {SIDES}", pb_utils.TritonError.INVALID_ARG)

    def _list(self, texts, sender, refuse):
        try:
            if sender.is_cancelled():
                refuse("cancelled")
            else:
                _send(sender, [_column("TOKENS", self._lister.listed(texts))])
        except Exception as error:
            refuse(f"tokenisation failed: {error}")

    def _embed(self, texts, side, wanted, sender, refuse):
        # Rows are shared by what they are made of, which is the text alone where its end is cut.
        keys = texts if side == END else [(side, text) for text in texts]
        distinct = dict(zip(keys, texts, strict=True))
        encoded = self._side(side).encode_batch_fast(list(distinct.values()))
        rows = {key: item.ids for key, item in zip(distinct, encoded, strict=True)}
        if side == NONE and (long := _first_longer(keys, rows, self._max_tokens)) is not None:
            words = f"text_too_long: index={long}: truncate is NONE"
            refuse(words, pb_utils.TritonError.INVALID_ARG)
            return
        extras = self._extras(wanted, texts, keys, rows)
        job = EmbeddingJob(keys, partial(_answer, sender, extras), refuse, sender.is_cancelled)
        if not self._encoding.submit(job, rows):
            refuse("too many texts are waiting", pb_utils.TritonError.UNAVAILABLE)

    def _side(self, side):
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

    def _extras(self, wanted, texts, keys, rows):
        extras = []
        if "TOKEN_COUNT" in wanted:
            counts = np.array([[len(rows[key])] for key in keys], dtype=np.int32)
            extras.append(pb_utils.Tensor("TOKEN_COUNT", counts))
        if "TOKENS" in wanted:
            extras.append(_column("TOKENS", self._lister.listed(texts)))
        if "MODEL_INFO" in wanted:
            extras.append(_column("MODEL_INFO", [self._info] * len(texts)))
        return extras

    def _encode(self, ids, mask):
        response = pb_utils.InferenceRequest(
            model_name=self._encoder,
            requested_output_names=["embedding"],
            inputs=[pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()
        if response.has_error():
            raise RuntimeError(f"{self._encoder} failed: {response.error().message()}")
        return pb_utils.get_output_tensor_by_name(response, "embedding").as_numpy().copy()


def _first_longer(keys, rows, most):
    return next((place for place, key in enumerate(keys) if len(rows[key]) > most), None)


def _column(name, items):
    return pb_utils.Tensor(name, np.array(items, dtype=np.object_).reshape(-1, 1))


def _answer(sender, extras, embeddings):
    _send(sender, [pb_utils.Tensor("EMBEDDING", embeddings), *extras])


def _send(sender, tensors):
    sender.send(
        pb_utils.InferenceResponse(tensors), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )


def _refuse(sender, message, code=None):
    error = pb_utils.TritonError(message, code or pb_utils.TritonError.INTERNAL)
    sender.send(
        pb_utils.InferenceResponse(error=error), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    )
