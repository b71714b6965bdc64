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
from gateway.triton import Tensor
from gateway.triton.coalesce import Coalescer
from gateway.triton.tensors import Array, text_tensor

Floats = NDArray[np.float32]
SCORES = ("PRECISION", "RECALL", "F1")
CANARY_TEXT = "canary"
MAX_ROWS = 128  # max_batch_size of text_embedding and bertscore
SMALL = 4  # rows; larger requests are worth a call of their own
JOINED_ROWS = 32  # a call of the encoder where that pays, two where it does not


class TextService(Service):
    """Embeddings and BERTScore over the models of the catalogues."""

    name = "text"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.text
        self.admission = context.admission(self.name, settings)
        self.active = ActiveRequests()
        self.embedders = Catalogue("embed", settings.embed_models, settings.embed_model)
        self.scorers = Catalogue("bertscore", settings.bertscore_models, settings.bertscore_model)
        self._coalescers: dict[tuple[str, tuple[str, ...]], Coalescer] = {}
        self.models = [entry.model for entry in (*self.embedders.entries, *self.scorers.entries)]

    @property
    def device(self) -> str:
        """Where the default embedding model runs: ``cpu``, ``cuda`` or ``cuda:N``."""
        return self.embedders.find("").model.device

    async def embed(self, texts: Sequence[str], entry: Entry) -> Floats:
        """Return the embeddings, float32 [len(texts), dimensions], in the order of ``texts``.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        return (await self._embed(texts, entry, ("EMBEDDING",)))["EMBEDDING"]

    async def embed_counted(self, texts: Sequence[str], entry: Entry) -> tuple[Floats, int]:
        """Return the embeddings as :meth:`embed`, and how many tokens the model read.

        Raises:
            GatewayError: busy, down, deadline or failed inference.
        """
        outputs = await self._embed(texts, entry, ("EMBEDDING", "TOKEN_COUNT"))
        return outputs["EMBEDDING"], int(outputs["TOKEN_COUNT"].sum())

    async def _embed(
        self, texts: Sequence[str], entry: Entry, outputs: Sequence[str]
    ) -> dict[str, Array]:
        if not texts:
            return {name: np.zeros((0, 0), np.float32) for name in outputs}
        chunks = split(len(texts), min(self.settings.embed_chunk, MAX_ROWS))

        def inputs(chunk: slice) -> dict[str, Tensor]:
            return {"TEXT": text_tensor(texts[chunk])}

        parts = await self._run("embed", entry, len(texts), chunks, inputs, outputs)
        return {name: _gather(name, parts) for name in outputs}

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

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Run one real inference and return the model's MODEL_INFO."""
        text = text_tensor([CANARY_TEXT])
        if model.task == "embed":
            inputs, output = {"TEXT": text}, "EMBEDDING"
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
                    return await asking(partial(self._infer, entry, tensors, outputs, rows))

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
        if rows <= SMALL and not tracing.enabled:  # a traced call belongs to one trace
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
