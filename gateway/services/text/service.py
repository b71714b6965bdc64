"""What the text API does, without HTTP: chunks to Triton, rows back in order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.context import Context, Service
from gateway.errors import BadRequestError, GatewayError
from gateway.health.guard import guarded
from gateway.health.state import ModelState
from gateway.services.text.active import ActiveRequest, ActiveRequests
from gateway.services.text.catalogue import Catalogue, Entry
from gateway.services.text.embedding_cache import Embedded, EmbeddingCache, gathered
from gateway.services.text.embedding_options import (
    AS_GIVEN,
    PLAIN,
    EmbeddingOptions,
    Preparation,
    prepared,
    too_long,
)
from gateway.triton import Tensor
from gateway.triton.coalesce import Coalescer
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import Array, text_tensor

Floats = NDArray[np.float32]
SCORES = ("PRECISION", "RECALL", "F1")
CUT = "TRUNCATE"
COUNTED = ("EMBEDDING", "TOKEN_COUNT")
CANARY_TEXT = "canary"
MAX_ROWS = 128  # max_batch_size of text_embedding, bertscore and reranking
SMALL = 4  # rows; larger requests are worth a call of their own
JOINED_ROWS = 32  # a call of the encoder where that pays, two where it does not


class TextService(Service):
    """Embeddings, BERTScore and relevance over the models of the catalogues."""

    name = "text"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.text
        self.admission = context.admission(self.name, settings)
        self.active = ActiveRequests()
        self.embedders = Catalogue("embed", settings.embed_models, settings.embed_model)
        self.scorers = Catalogue("bertscore", settings.bertscore_models, settings.bertscore_model)
        self.rankers = Catalogue("rerank", settings.rerank_models, settings.rerank_model)
        room = settings.embed_cache_bytes // context.settings.server.workers
        self._cache = EmbeddingCache(room, context.metrics) if room else None
        self._coalescers: dict[tuple[str, tuple[str, ...]], Coalescer] = {}
        catalogues = (self.embedders, self.scorers, self.rankers)
        self.models = [entry.model for catalogue in catalogues for entry in catalogue.entries]

    @property
    def device(self) -> str:
        """Where the default embedding model runs: ``cpu``, ``cuda`` or ``cuda:N``."""
        return self.embedders.find("").model.device

    async def prepare(self, entry: Entry, options: EmbeddingOptions = PLAIN) -> Preparation:
        """Return what an embedding model makes of options, which it declares once it is ready.

        Raises:
            OptionError: it does not offer them.
            GatewayError: busy, or down.
        """
        if not entry.model.info:
            deadline = time.monotonic() + self.settings.deadline_seconds
            self._context.monitor.expect(entry.model)
            async with self.admission.slot():
                await self._context.monitor.back(entry.model, deadline)
        return prepared(entry, options)

    async def embed(
        self, texts: Sequence[str], entry: Entry, preparation: Preparation = AS_GIVEN
    ) -> Floats:
        """Return the embeddings, float32 [len(texts), dimensions], in the order of ``texts``.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        if self._cache:
            return (await self.embed_counted(texts, entry, preparation))[0]
        texts = preparation.prompted(texts)
        outputs = await self._embed(texts, entry, ("EMBEDDING",), preparation.truncate)
        return preparation.cut(outputs["EMBEDDING"])

    async def embed_counted(
        self, texts: Sequence[str], entry: Entry, preparation: Preparation = AS_GIVEN
    ) -> tuple[Floats, int]:
        """Return the embeddings as :meth:`embed`, and how many tokens the model read.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        texts = preparation.prompted(texts)
        truncate = preparation.truncate
        if self._cache and texts and truncate != "NONE":  # which may be refused
            vectors, tokens = await self._remembered(texts, entry, self._cache, truncate)
        else:
            outputs = await self._embed(texts, entry, COUNTED, truncate)
            vectors, tokens = outputs["EMBEDDING"], int(outputs["TOKEN_COUNT"].sum())
        return preparation.cut(vectors), tokens

    async def _remembered(
        self, texts: Sequence[str], entry: Entry, cache: EmbeddingCache, truncate: str
    ) -> tuple[Floats, int]:
        """Embed what is not in the cache; nothing is asked, and no slot taken, where all is."""
        keys = cache.keys(texts, entry, truncate)
        embedded = cache.lookup(keys, entry)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in embedded}
        if missing:
            fresh = await self._embed(list(missing.values()), entry, COUNTED, truncate)
            rows = zip(missing, fresh["EMBEDDING"], fresh["TOKEN_COUNT"][:, 0], strict=True)
            embedded |= {key: Embedded(vector.tobytes(), int(count)) for key, vector, count in rows}
            same_weights = cache.keys(texts[:1], entry, truncate) == keys[:1]
            for key in missing if same_weights else ():
                cache.keep(key, embedded[key])
        return gathered(keys, embedded)

    async def _embed(
        self, texts: Sequence[str], entry: Entry, outputs: Sequence[str], truncate: str
    ) -> dict[str, Array]:
        if not texts:
            return {name: np.zeros((0, 0), np.float32) for name in outputs}
        chunks = split(len(texts), min(self.settings.embed_chunk, MAX_ROWS))

        def inputs(chunk: slice) -> dict[str, Tensor]:
            tensor = text_tensor(texts[chunk])
            if truncate == "END":
                return {"TEXT": tensor}
            return {"TEXT": tensor, CUT: text_tensor([truncate] * tensor.shape[0])}

        try:
            parts = await self._run("embed", entry, len(texts), chunks, inputs, outputs)
        except RefusedInputError as error:
            raise too_long(entry, error.index) from None
        return {name: _gather(name, parts) for name in outputs}

    async def tokenize(self, texts: Sequence[str], entry: Entry) -> list[bytes]:
        """Return the tokens of each text as ``gateway.services.text.tokenization`` reads them.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        if not texts:
            return []
        chunks = split(len(texts), min(self.settings.embed_chunk, MAX_ROWS))

        def inputs(chunk: slice) -> dict[str, Tensor]:
            return {"TEXT": text_tensor(texts[chunk])}

        parts = await self._run("tokenize", entry, len(texts), chunks, inputs, ("TOKENS",))
        return list(_gather("TOKENS", parts)[:, 0])

    async def score(
        self, candidates: Sequence[str], references: Sequence[str], entry: Entry
    ) -> dict[str, Floats]:
        """Return ``PRECISION``, ``RECALL`` and ``F1``, float32 [len(candidates)] each.

        Raises:
            BadRequestError: the lists differ in length.
            GatewayError: busy, down, deadline or failed inference.
        """
        if len(candidates) != len(references):
            raise BadRequestError("candidates and references must have equal length")
        count = len(candidates)
        if not count:
            return {name: np.zeros(0, np.float32) for name in SCORES}
        # Whole and in order: the library's blocks of 64 pairs decide how negative cosines count.
        chunks = split(count, MAX_ROWS)

        def inputs(chunk: slice) -> dict[str, Tensor]:
            return {
                "CANDIDATE": text_tensor(candidates[chunk]),
                "REFERENCE": text_tensor(references[chunk]),
            }

        parts = await self._run("bertscore", entry, count, chunks, inputs, SCORES)
        return {name: _gather(name, parts)[:, 0] for name in SCORES}

    async def rank(
        self, queries: Sequence[str], documents: Sequence[str], entry: Entry
    ) -> tuple[Floats, int]:
        """Return a cross-encoder's score of each pair, and how many tokens it read.

        Args:
            queries: one for each document.
            documents: at least one.
            entry: of ``rankers``.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        chunks = split(len(documents), min(self.settings.embed_chunk, MAX_ROWS))

        def inputs(chunk: slice) -> dict[str, Tensor]:
            return {
                "QUERY": text_tensor(queries[chunk]),
                "DOCUMENT": text_tensor(documents[chunk]),
            }

        outputs = ("SCORE", "TOKEN_COUNT")
        parts = await self._run("rerank", entry, len(documents), chunks, inputs, outputs)
        return _gather("SCORE", parts)[:, 0], int(_gather("TOKEN_COUNT", parts).sum())

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Run one real inference and return the model's MODEL_INFO."""
        text = text_tensor([CANARY_TEXT])
        if model.task == "embed":
            inputs, output = {"TEXT": text}, "EMBEDDING"
        elif model.task == "rerank":
            inputs, output = {"QUERY": text, "DOCUMENT": text}, "SCORE"
        else:
            inputs, output = {"CANDIDATE": text, "REFERENCE": text}, "F1"
        reply = await self._context.triton.infer(
            model.triton_model,
            inputs,
            (output, "MODEL_INFO"),
            timeout=timeout,
        )
        if not np.isfinite(reply[output]).all():
            raise GatewayError("canary is not finite")
        return dict(json.loads(reply["MODEL_INFO"].flat[0]))

    async def _run(
        self,
        kind: str,
        entry: Entry,
        items: int,
        chunks: list[slice],
        inputs: Any,
        outputs: Sequence[str],
    ) -> list[dict[str, Array]]:
        """Send all chunks, a few at a time, and return their outputs in the order of the chunks."""
        deadline = time.monotonic() + self.settings.deadline_seconds
        name = entry.model.name or entry.name
        monitor = self._context.monitor
        async with guarded(monitor, self.admission, entry.model, deadline) as asking:
            with self.active.track(kind, items, name) as active:

                async def part(chunk: slice) -> dict[str, Array]:
                    rows = chunk.stop - chunk.start
                    self._context.metrics.rows(entry.model.triton_model, rows)
                    tensors = inputs(chunk)
                    try:
                        return await asking(partial(self._infer, entry, tensors, outputs, rows))
                    except RefusedInputError as error:
                        place = None if error.index is None else error.index + chunk.start
                        raise RefusedInputError(error.code, place) from None

                return await self._interleave(chunks, part, active)

    async def _interleave(
        self,
        chunks: list[slice],
        part: Callable[[slice], Awaitable[dict[str, Array]]],
        active: ActiveRequest,
    ) -> list[dict[str, Array]]:
        if len(chunks) == 1:
            return [await part(chunks[0])]
        parts: list[dict[str, Array]] = [{}] * len(chunks)
        todo = iter(enumerate(chunks))

        async def worker() -> None:
            for index, chunk in todo:
                parts[index] = await part(chunk)
                active.progress = round(active.progress + 1 / len(chunks), 6)

        tasks = [asyncio.ensure_future(worker()) for _ in range(self.settings.chunks_in_flight)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return parts

    async def _infer(
        self,
        entry: Entry,
        inputs: dict[str, Tensor],
        outputs: Sequence[str],
        rows: int,
        timeout: float,
    ) -> dict[str, Array]:
        model = entry.model.triton_model
        tracing = self._context.tracing
        # A traced call belongs to one trace, and a refusal to one request.
        if rows <= SMALL and CUT not in inputs and not tracing.enabled:
            return await self._coalescer(model, tuple(outputs)).infer(inputs, timeout)
        return await self._context.triton.infer(
            model, inputs, outputs, timeout=timeout, headers=tracing.headers()
        )

    def _coalescer(self, model: str, outputs: tuple[str, ...]) -> Coalescer:
        key = model, outputs
        if key not in self._coalescers:
            triton, calls = self._context.triton, self.settings.calls_before_joining
            self._coalescers[key] = Coalescer(triton, model, outputs, calls, JOINED_ROWS)
        return self._coalescers[key]


def _gather(name: str, parts: list[dict[str, Array]]) -> Array:
    """Return one output of all chunks in the order of the request."""
    return parts[0][name] if len(parts) == 1 else np.concatenate([part[name] for part in parts])


def split(count: int, rows: int) -> list[slice]:
    """Return consecutive slices of at most ``rows`` items that cover ``count`` items."""
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
